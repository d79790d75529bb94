/** The whole chain of `10-calico.conflist` on a private node, with the static executables, called as libcni calls them. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { supportedVersions } from "../../src/cni/version.ts";
import { type Conflist, loadConflist, withVersion } from "../lib/conflist.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node, outsideAddress4 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { answers, ask, ping, serve } from "../lib/node/traffic.ts";
import { addressOf, type CniResult, PluginError, Runner, requestOf, type Sandbox } from "../lib/runtimes/runner.ts";
import { containerd, crio, podman } from "../lib/runtimes/runtimes.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

const list = loadConflist(example("10-calico.conflist"));
let node: Node;
let runner: Runner;
let clean: string;
let pods = 0;

beforeAll(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
});

beforeEach(() => {
  clean = snapshot(node);
});

afterAll(async () => {
  await node?.stop();
});

/** The attachments that a test created and did not remove. */
const attached = new Map<string, { readonly list: Conflist; readonly sandbox: Sandbox }>();

/** Removes what the test left, as far as possible: one defect must not make the next test fail. */
afterEach(() => {
  for (const { list, sandbox } of attached.values()) {
    for (const plugin of [...list.plugins].reverse()) {
      runner.tryExec("DEL", plugin.type, requestOf(list, plugin, { sandbox }), sandbox);
    }
  }
  attached.clear();
  runner.forget();
});

function newPod(more: Partial<Sandbox> = {}): Sandbox & { readonly pod: string } {
  const pod = `pod${++pods}`;
  return { pod, containerId: `${pod}-0a1b2c`, netns: node.addPod(pod), ifname: "eth0", ...more };
}

function add(sandbox: Sandbox, chain: Conflist = list): CniResult {
  attached.set(`${sandbox.containerId}/${sandbox.ifname}`, { list: chain, sandbox });
  return runner.add(chain, sandbox);
}

function del(sandbox: Sandbox, chain: Conflist = list): void {
  runner.del(chain, sandbox);
  attached.delete(`${sandbox.containerId}/${sandbox.ifname}`);
}

function errorOf(action: () => unknown): PluginError {
  try {
    action();
  } catch (error) {
    if (error instanceof PluginError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

function expectNothingLeft(since = clean): void {
  expect(leaks(diff(since, snapshot(node))).join("\n")).toBe("");
}

function port(hostPort: number): Sandbox["capabilities"] & object {
  return { portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }] };
}

type Plugin = Conflist["plugins"][number];

const limits = { ingressRate: 20e6, ingressBurst: 1e6, egressRate: 20e6, egressBurst: 1e6 };

describe.each(supportedVersions)("chain in cniVersion %s", (version) => {
  const chain = withVersion(list, version);
  // bandwidth and portmap need a result with interfaces, which these versions cannot express.
  const canChain = !["0.1.0", "0.2.0"].includes(version);
  const whole = canChain ? chain : { ...chain, plugins: chain.plugins.slice(0, 1) };

  test("ADD answers in that version, CHECK agrees, DEL leaves the host as before", () => {
    const pod = newPod(canChain ? { capabilities: { ...port(8080), bandwidth: limits } } : {});
    const result = add(pod, whole);
    expect(result.cniVersion).toBe(version);
    expect(addressOf(result)).toMatch(/^192\.168\.\d+\.\d+$/);
    expect(ping(node, undefined, addressOf(result))).toBe(true);
    if (Number(version.slice(0, 3)) >= 0.4) runner.check(whole, pod);
    del(pod, whole);
    expectNothingLeft();
  });
});

describe("connectivity", () => {
  test("two pods reach each other, the node, and the outside through the node's address", () => {
    const [a, b] = [newPod(), newPod()];
    const [addressA, addressB] = [addressOf(add(a)), addressOf(add(b))];
    expect(addressA).not.toBe(addressB);
    serve(node, "outside", 8000);
    expect(ping(node, a.pod, addressB)).toBe(true);
    expect(ping(node, b.pod, addressA)).toBe(true);
    expect(ping(node, a.pod, "203.0.113.1")).toBe(true);
    expect(ping(node, a.pod, outsideAddress4)).toBe(true);
    expect(ask(node, a.pod, outsideAddress4, 8000)).toBe("outside sees 203.0.113.1");
  });

  test("pods see each other's own addresses: natOutgoing spares what stays in the pools", () => {
    const [a, b] = [newPod(), newPod()];
    const [addressA, addressB] = [addressOf(add(a)), addressOf(add(b))];
    serve(node, b.pod, 80);
    expect(ask(node, a.pod, addressB, 80)).toBe(`${b.pod} sees ${addressA}`);
  });

  test("a host port answers from outside, from the node, on 127.0.0.1, and by hairpin", () => {
    const a = newPod({ capabilities: port(8081) });
    const b = newPod();
    add(a);
    add(b);
    serve(node, a.pod, 80);
    expect(ask(node, "outside", "203.0.113.1", 8081)).toBe(`${a.pod} sees ${outsideAddress4}`);
    expect(ask(node, undefined, "203.0.113.1", 8081)).toContain(`${a.pod} sees`);
    expect(ask(node, undefined, "127.0.0.1", 8081)).toContain(`${a.pod} sees`);
    expect(ask(node, a.pod, "203.0.113.1", 8081)).toContain(`${a.pod} sees`);
    expect(ask(node, b.pod, "203.0.113.1", 8081)).toContain(`${a.pod} sees`);
  });

  test("a host port is closed after DEL", () => {
    const pod = newPod({ capabilities: port(8082) });
    add(pod);
    serve(node, pod.pod, 80);
    expect(answers(node, "outside", "203.0.113.1", 8082)).toBe(true);
    del(pod);
    expect(answers(node, "outside", "203.0.113.1", 8082)).toBe(false);
  });
});

describe("ADD", () => {
  test("that is repeated answers the same and changes nothing", () => {
    const pod = newPod({ capabilities: { ...port(8083), bandwidth: limits } });
    const first = add(pod);
    const before = snapshot(node);
    expect(add(pod)).toEqual(first);
    expect(
      diff(before, snapshot(node))
        .replace(/^[-+] file .*$/gm, "")
        .trim(),
    ).toBe("");
    runner.check(list, pod);
  });

  test("that finds a foreign eth0 fails, names it, leaves it alone and leaves nothing", () => {
    const pod = newPod();
    node.sh("ip link add eth0 type veth peer name other", { in: pod.pod });
    const error = errorOf(() => runner.add(list, pod));
    expect(error.message).toContain("eth0");
    expect(node.sh("ip -br link show eth0", { in: pod.pod })).toContain("eth0@other");
    expectNothingLeft();
    runner.del(list, pod);
    expect(node.sh("ip -br link show eth0", { in: pod.pod })).toContain("eth0@other");
  });

  test("whose last plugin fails leaves nothing once the runtime has called DEL", () => {
    const [a, b] = [newPod({ capabilities: port(8084) }), newPod({ capabilities: port(8084) })];
    add(a);
    const before = snapshot(node);
    const error = errorOf(() => runner.add(list, b));
    expect(error.call.plugin).toBe("portmap");
    runner.del(list, b);
    expectNothingLeft(before);
  });

  test("of a host port that a live attachment has is refused and names the owner", () => {
    const [a, b] = [newPod({ capabilities: port(8085) }), newPod({ capabilities: port(8085) })];
    add(a);
    const error = errorOf(() => add(b));
    expect(error.message).toContain("8085");
    expect(error.message).toContain(a.containerId);
  });

  test("with a burst below the size of a packet lets full packets pass, both ways", () => {
    const small = { ingressRate: 1e6, ingressBurst: 8000, egressRate: 1e6, egressBurst: 8 };
    const pod = newPod({ capabilities: { bandwidth: small } });
    const address = addressOf(add(pod));
    const { stdout } = node.run(["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-s", "1400", address]);
    expect(stdout).toContain("3 received");
    runner.check(list, pod);
    del(pod);
    expectNothingLeft();
  });

  test("with the node's own namespace is refused with code 8 before anything is done", () => {
    const error = errorOf(() => runner.add(list, { containerId: "own", netns: "/proc/self/ns/net", ifname: "eth0" }));
    expect(error.code).toBe(8);
    expectNothingLeft();
  });

  test("with a path that is no namespace is refused and leaves nothing", () => {
    errorOf(() => runner.add(list, { containerId: "none", netns: "/etc/hostname", ifname: "eth0" }));
    errorOf(() => runner.add(list, { containerId: "none", netns: "/run/netns/none", ifname: "eth0" }));
    expectNothingLeft();
  });

  test.each([
    ["containerd", containerd],
    ["CRI-O", crio],
    ["podman", podman],
  ] as const)("takes what %s sends", (_, sent) => {
    const pod = newPod();
    const requests = {
      namespace: "default",
      name: pod.pod,
      containerId: pod.containerId,
      ingressRate: 10e6,
      egressRate: 10e6,
    };
    const ports = [{ hostPort: 8086, containerPort: 80, protocol: "tcp" }];
    const sandbox = { ...pod, ...sent({ ...requests, ports }) };
    add(sandbox);
    runner.check(list, sandbox);
    del(sandbox);
    expectNothingLeft();
  });

  test("of one container's second interface works, and DEL of one leaves the other", () => {
    const first = newPod({ capabilities: { bandwidth: limits } });
    const second = { ...first, ifname: "net1" };
    const address = addressOf(add(first));
    expect(addressOf(add(second))).not.toBe(address);
    runner.check(list, first);
    runner.check(list, second);
    del(second);
    runner.check(list, first);
    expect(ping(node, undefined, address)).toBe(true);
  });

  test("of a pod's new sandbox replaces the old one's interface, and the old sandbox's late DEL does not touch it", () => {
    const args = [
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", "web-0"],
    ] as const;
    const [old, young] = [newPod({ args }), newPod({ args })];
    add(old);
    const address = addressOf(add(young));
    del(old);
    runner.check(list, young);
    expect(ping(node, undefined, address)).toBe(true);
  });

  test("whose interface a DEL took away before portmap's turn opens 127.0.0.1 on no other interface", () => {
    const pod = newPod({ capabilities: { ...port(8094), bandwidth: limits } });
    const [calico, bandwidth, portmap] = list.plugins as [Plugin, Plugin, Plugin];
    const step = (plugin: Plugin, prevResult?: CniResult) =>
      JSON.parse(runner.exec("ADD", plugin.type, requestOf(list, plugin, { sandbox: pod, prevResult }), pod).stdout);
    const prevResult = step(bandwidth, step(calico)) as CniResult;
    del(pod);
    // The node's default route now leads to the pod's address.
    step(portmap, prevResult);
    expect(node.sh("cat /proc/sys/net/ipv4/conf/uplink/route_localnet").trim()).toBe("0");
    del(pod);
    expectNothingLeft();
  });
});

describe("CHECK", () => {
  test.each([
    ["the host's route to the pod", undefined, (address: string) => `ip route del ${address}/32`],
    ["the pod's default route", "pod", () => "ip route del default"],
    ["the pod's address", "pod", (address: string) => `ip address del ${address}/32 dev eth0`],
    ["the host interface's limit", undefined, (_: string, link: string) => `tc qdisc del dev ${link} root`],
    ["the host port", undefined, () => "nft flush ruleset"],
  ])("misses %s", (_, where, harm) => {
    const pod = newPod({ capabilities: { ...port(8087), bandwidth: limits } });
    const result = add(pod);
    runner.check(list, pod);
    const link = result.interfaces?.[0]?.name ?? "";
    node.sh(harm(addressOf(result), link), where === undefined ? {} : { in: pod.pod });
    expect(errorOf(() => runner.check(list, pod)).code).toBe(101);
  });
});

describe("DEL", () => {
  test("of what was never added succeeds, twice", () => {
    const pod = newPod();
    del(pod);
    del(pod);
    expectNothingLeft();
  });

  test("without namespace, result and runtime's arguments leaves nothing", () => {
    const pod = newPod({ capabilities: { ...port(8088), bandwidth: limits } });
    add(pod);
    node.removePod(pod.pod);
    runner.forget();
    del({ containerId: pod.containerId, ifname: pod.ifname, netns: "" });
    attached.clear();
    expectNothingLeft();
  });

  test("with the namespace alive but nothing else leaves nothing in it", () => {
    const pod = newPod({ capabilities: { ...port(8089), bandwidth: limits } });
    const empty = snapshot(node, { in: pod.pod });
    add(pod);
    runner.forget();
    del({ containerId: pod.containerId, ifname: pod.ifname, netns: "" });
    attached.clear();
    expect(diff(empty, snapshot(node, { in: pod.pod }))).toBe("");
    expectNothingLeft();
  });

  test("with a configuration that is not valid any more leaves nothing", () => {
    const pod = newPod({ capabilities: { ...port(8090), bandwidth: limits } });
    add(pod);
    const broken = {
      calico: { mtu: "wide" },
      bandwidth: { ingressRate: -1 },
      portmap: { markMasqBit: 99, backend: "magic" },
    };
    for (const plugin of [...list.plugins].reverse()) {
      const spoilt = { ...plugin, ...broken[plugin.type as keyof typeof broken] };
      runner.exec("DEL", plugin.type, requestOf(list, spoilt, { sandbox: pod }), pod);
    }
    attached.clear();
    runner.forget();
    expectNothingLeft();
  });
});

describe("GC", () => {
  test("removes what belongs to no valid attachment, and that alone", () => {
    const [live, dead] = [
      newPod({ capabilities: port(8091) }),
      newPod({ capabilities: { ...port(8092), bandwidth: limits } }),
    ];
    const address = addressOf(add(live));
    const before = snapshot(node);
    add(dead);
    node.removePod(dead.pod);
    runner.collect(list, [live]);
    attached.delete(`${dead.containerId}/eth0`);
    expectNothingLeft(before);
    runner.check(list, live);
    expect(ping(node, undefined, address)).toBe(true);
  });

  test("leaves another network's attachments alone", () => {
    const other = { ...list, name: "other" };
    const pod = newPod();
    add(pod, other);
    runner.collect(list, []);
    runner.check(other, pod);
  });

  test("without the list of valid attachments removes nothing", () => {
    const pod = newPod();
    add(pod);
    for (const plugin of list.plugins) {
      runner.tryExec("GC", plugin.type, requestOf(list, plugin, {}), { containerId: "", netns: "", ifname: "" });
    }
    runner.check(list, pod);
  });
});

describe("STATUS", () => {
  test("is ready on a node that can do everything", () => {
    runner.status(list);
  });

  test("says nothing on stdout and stderr", () => {
    runner.status(list);
    for (const call of runner.calls.slice(-list.plugins.length)) expect(call).toMatchObject({ stdout: "", stderr: "" });
  });
});
