/** The floor of the bench does the kernel's work that it says, and takes it away; `empty` does none. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildFloor } from "../../scripts/bench/floor.ts";
import { loadConflist } from "../lib/conflist.ts";
import { Node } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { root } from "../lib/suite.ts";

const list = { ...loadConflist(join(root, "conf-examples/10-calico.conflist")), cniVersion: "1.0.0" };
const [floor, empty] = buildFloor();
let node: Node;

beforeAll(async () => {
  node = await Node.start("floor");
});
afterAll(() => node.stop());

function podOf(containerId: string) {
  const portMappings = [{ hostPort: 20_003, containerPort: 80, protocol: "tcp" }];
  const bandwidth = { ingressRate: 1e8, ingressBurst: 8e6, egressRate: 1e8, egressBurst: 8e6 };
  return { containerId, netns: node.addPod(containerId), ifname: "eth0", capabilities: { portMappings, bandwidth } };
}

test("the floor makes a pod's interface, limits and host port, reads them, and leaves nothing", () => {
  const runner = new Runner({ node, pluginDirs: [floor?.directory ?? ""] });
  const pod = podOf("pod-3");
  runner.add(list, pod);
  expect(node.sh("ip -n pod-3 route")).toMatch(
    /^default via 169\.254\.1\.1 dev eth0 \n169\.254\.1\.1 dev eth0 scope link/,
  );
  expect(node.sh("ip route show dev floor3")).toContain("10.209.0.5 scope link");
  expect(node.sh("cat /proc/sys/net/ipv4/conf/floor3/proxy_arp")).toBe("1\n");
  expect(node.sh("tc qdisc show dev floor3")).toMatch(/tbf .* rate 100Mbit[\s\S]*ingress/);
  expect(node.sh("tc filter show dev floor3 ingress")).toContain("Egress Redirect to device floorifb3");
  expect(node.sh("nft list map ip floor ports")).toContain("20003 : 10.209.0.5");
  runner.check(list, pod);
  runner.del(list, pod);
  expect(node.sh("ip -brief link; nft list map ip floor ports")).not.toMatch(/floor\d|floorifb|20003/);
});

test("the empty programs change nothing", () => {
  const pod = podOf("pod-4");
  const before = snapshot(node);
  const runner = new Runner({ node, pluginDirs: [empty?.directory ?? ""] });
  runner.add(list, pod);
  runner.check(list, pod);
  runner.del(list, pod);
  expect(diff(before, snapshot(node))).toBe("");
});
