/** A pod's next sandbox gets the pod's fixed addresses, whether the previous one still exists or not, and keeps them after its late DEL. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Conflist, parseConflist } from "../lib/conflist.ts";
import { Node, outsideAddress4, outsideAddress6 } from "../lib/node/netns.ts";
import { ping } from "../lib/node/traffic.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { pluginDirs, requireBuild } from "../lib/suite.ts";

const list: Conflist = parseConflist(
  JSON.stringify({
    name: "net1",
    cniVersion: "1.1.0",
    plugins: [
      {
        type: "calico",
        capabilities: { ips: true },
        ipam: { type: "calico-ipam", assign_ipv6: "true", ipv4_pools: ["10.65.0.0/24"], ipv6_pools: ["fd65::/64"] },
      },
    ],
  }),
);
let node: Node;
let runner: Runner;
let pods = 0;

beforeAll(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
});

afterAll(async () => {
  await node?.stop();
});

function sandboxOf(pod: string, ifname: string, ips: readonly string[]): Sandbox & { readonly name: string } {
  const name = `s${++pods}`;
  const args = [
    ["K8S_POD_NAMESPACE", "default"],
    ["K8S_POD_NAME", pod],
  ] as const;
  return { name, containerId: `${name}-0a1b2c`, netns: node.addPod(name), ifname, args, capabilities: { ips } };
}

describe.each(["eth0", "net1"])("on %s", (ifname) => {
  test.each([
    ["gone", true],
    ["still there", false],
  ])("the earlier sandbox %s", (_, isGone) => {
    const pod = `web-${ifname}-${isGone ? "gone" : "there"}`;
    const ips = [`10.65.0.${10 + pods}`, `fd65::${10 + pods}`];
    const [old, young] = [sandboxOf(pod, ifname, ips), sandboxOf(pod, ifname, ips)];
    runner.add(list, old);
    if (isGone) node.removePod(old.name);
    runner.add(list, young);
    runner.check(list, young);
    runner.del(list, old);
    runner.check(list, young);
    for (const address of ips) expect(ping(node, undefined, address), address).toBe(true);
    for (const address of [outsideAddress4, outsideAddress6]) expect(ping(node, young.name, address)).toBe(true);
    expect(() => runner.add(list, sandboxOf("another", ifname, ips))).toThrow(`(pod default/${pod})`);
    runner.del(list, young);
    expect(node.sh("ls /run/tortie/ipam/handles")).toBe("");
    expect(node.sh(`ip -o route show table all; ip -6 -o route show table all`)).not.toContain(`${ips[0]} `);
  });
});
