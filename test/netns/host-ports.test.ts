/** Host ports in the presence of other programs and events on a node, with both back ends. */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Conflist, type JsonObject, loadConflist } from "../lib/conflist.ts";
import { doctor } from "../lib/node/doctor.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node, nodeAddress4, nodeAddress6 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { answers, ask, serve, waitForPort } from "../lib/node/traffic.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

const calico = loadConflist(example("10-calico.conflist"));
const backends = ["nftables", "iptables"] as const;

let node: Node;
let runner: Runner;
let clean: string;

beforeAll(requireBuild);

beforeEach(async () => {
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
  clean = snapshot(node);
});

afterEach(async () => {
  await node?.stop();
});

/** The chain with both families, and further keys for `portmap`. */
function listOf(portmap: JsonObject, name = calico.name): Conflist {
  const ipam = { type: "calico-ipam", assign_ipv6: "true" };
  const plugins = calico.plugins.map((plugin) => {
    if (plugin.type === "calico") return { ...plugin, ipam };
    return plugin.type === "portmap" ? { ...plugin, ...portmap } : plugin;
  });
  return { ...calico, name, plugins };
}

function newPod(name: string, portMappings: readonly JsonObject[]): Sandbox & { readonly pod: string } {
  return { pod: name, containerId: name, netns: node.addPod(name), ifname: "eth0", capabilities: { portMappings } };
}

const web = { hostPort: 8080, containerPort: 80, protocol: "tcp" };

describe.each(backends)("by %s", (backend) => {
  const list = listOf({ backend });

  test("a port that two networks of a container ask for goes on by the second when the first is gone", () => {
    const pod = newPod("web", [web, { ...web, hostPort: 8081, hostIP: nodeAddress4 }]);
    const further = { ...pod, ifname: "eth1" };
    const other = listOf({ backend }, "other");
    runner.add(list, pod);
    runner.add(other, further);
    serve(node, "web", 80);
    const expectServed = () => {
      for (const [address, port] of [
        [nodeAddress4, 8080],
        [nodeAddress6, 8080],
        [nodeAddress4, 8081],
      ] as const) {
        expect(ask(node, "outside", address, port)).toContain("web sees");
      }
    };
    expectServed();
    runner.check(other, further);
    runner.del(list, pod);
    expectServed();
    runner.check(other, further);
    runner.del(other, further);
    expect(leaks(diff(clean, snapshot(node))).join("\n")).toBe("");
  });

  test("a client that keeps its port reaches the pod that has the host port now: TCP", () => {
    const first = newPod("first", [web]);
    runner.add(list, first);
    serve(node, "first", 80);
    const talk = ["nc", "-p", "45000", "-w", "3", nodeAddress4, "8080"];
    const client = node.start(["sh", "-c", `sleep 20 | ${talk.join(" ")}`], { in: "outside" });
    node.sh("for i in $(seq 200); do ss -Htn state established | grep -q ':80 ' && exit 0; sleep 0.02; done; exit 1", {
      in: "first",
    });
    runner.del(list, first);
    node.removePod("first");
    const second = newPod("second", [web]);
    runner.add(list, second);
    serve(node, "second", 80);
    node.sh("pkill -x nc");
    client.kill();
    const asked = node.sh(`printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n' | ${talk.join(" ")}`, { in: "outside" });
    expect(asked).toContain("second sees");
    runner.del(list, second);
  });

  test("a TCP connection with a process of the node, once it is tracked, goes on", () => {
    runner.add(list, newPod("first", [{ ...web, hostPort: 9001 }]));
    const file = "/run/.node/kept";
    const server = node.start(["sh", "-c", `nc -l 9000 > ${file}`]);
    waitForPort(node, undefined, 9000);
    const talk = `(echo one; while [ ! -e ${file}.go ]; do sleep 0.02; done; echo two; sleep 1) | nc ${nodeAddress4} 9000`;
    const client = node.start(["sh", "-c", talk], { in: "outside" });
    const arrives = (word: string) =>
      node.sh(`for i in $(seq 200); do grep -q ${word} ${file} && exit 0; sleep 0.02; done; exit 1`);
    arrives("one");
    runner.add(list, newPod("second", [{ ...web, hostPort: 9000 }]));
    node.sh(`touch ${file}.go`);
    arrives("two");
    server.kill();
    client.kill();
  });

  test("[::1] is the host's own: a process there answers, and where there is none the answer comes at once", () => {
    const pod = newPod("web", [web, { ...web, hostPort: 8081 }]);
    runner.add(list, pod);
    serve(node, "web", 80);
    serve(node, undefined, 8080, "host", "[::1]");
    expect(ask(node, undefined, "::1", 8080)).toContain("host sees");
    expect(ask(node, "outside", nodeAddress6, 8080)).toContain("web sees");
    const began = Date.now();
    expect(answers(node, undefined, "::1", 8081)).toBe(false);
    expect(Date.now() - began).toBeLessThan(1500);
    runner.check(list, pod);
    runner.del(list, pod);
    expect(leaks(diff(clean, snapshot(node))).join("\n")).toBe("");
  });

  test("ADD's log and the doctor name the process whose port the pod takes", () => {
    const log = "/run/portmap.log";
    const logging = listOf({ backend, log_file_path: log });
    const server = serve(node, undefined, 2222, "sshd");
    const pod = newPod("web", [{ ...web, hostPort: 2222 }, web]);
    runner.add(logging, pod);
    const lines = node
      .sh(`cat ${log}`)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      {
        level: 40,
        msg: "a host port takes packets from a process of the node",
        listens: "[::]:2222/tcp",
        process: expect.stringMatching(/^busybox \(pid \d+\)$/),
      },
    ]);
    const { findings } = doctor(node);
    expect(findings).toMatchObject([{ id: "host-port-of-process", subject: "[::]:2222/tcp", severity: "warning" }]);
    expect(findings[0]?.text).toMatch(/^is the port on which busybox \(pid \d+\) listens/);
    server.kill();
    runner.del(logging, pod);
  });
});

describe("portmap when iptables cannot read its table nat, because nft has added a rule there", () => {
  const list = listOf({ backend: "iptables" });
  const foreign = `nft 'table ip nat {
    set uplinks { type ipv4_addr; flags interval; elements = { 10.9.0.0/16 }; }
    chain POSTROUTING { type nat hook postrouting priority 100; ip saddr @uplinks masquerade; }
  }'`;
  const words = /cannot read table nat of iptables: .* \("nft list table ip nat"\)/;

  test("ADD is refused by name, and has stolen nothing", () => {
    node.sh(foreign);
    const before = snapshot(node);
    const pod = newPod("web", [web]);
    expect(() => runner.add(list, pod)).toThrow(words);
    runner.del(list, pod);
    expect(leaks(diff(before, snapshot(node))).join("\n")).toBe("");
  });

  test("DEL of what was made before fails, and succeeds when it can be read", () => {
    const pod = newPod("web", [web]);
    runner.add(list, pod);
    node.sh(foreign);
    expect(() => runner.check(list, pod)).toThrow(words);
    expect(() => runner.del(list, pod)).toThrow(words);
    node.sh("nft flush chain ip nat POSTROUTING; nft delete set ip nat uplinks");
    runner.del(list, pod);
    expect(leaks(diff(clean, snapshot(node))).join("\n")).toBe("");
  });
});
