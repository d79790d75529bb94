/**
 * The whole chain on Debian's kernels, in virtual machines: what differs from kernel to kernel, once for each.
 *
 * The steps of a chain build on each other, as on a node. `TORTIE_VM_KERNELS=5.10,newest` chooses.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Conflist, type JsonObject, loadConflist } from "../lib/conflist.ts";
import { Guest, guestPluginDir, type Kernel, kernels, whyNoGuests } from "../lib/guest.ts";
import { leaks } from "../lib/kept.ts";
import { nodeAddress4, nodeAddress6, outsideAddress4, outsideAddress6 } from "../lib/netns.ts";
import { type CniResult, PluginError, Runner, type Sandbox } from "../lib/runner.ts";
import { diff, snapshot } from "../lib/snapshot.ts";
import { example, requireBuild } from "../lib/suite.ts";
import { answers, ask, measureRate, ping, serviceOf, waitForPort } from "../lib/traffic.ts";

const chosen = (process.env.TORTIE_VM_KERNELS ?? kernels.join()).split(",") as readonly Kernel[];
const why = whyNoGuests();

const plain = loadConflist(example("10-calico.conflist"));
const dual = loadConflist(example("10-calico-dual-stack.conflist"));
const byIptables = withPortmap(dual, { backend: "iptables" });
const families = {
  4: { node: nodeAddress4, outside: outsideAddress4 },
  6: { node: nodeAddress6, outside: outsideAddress6 },
};
type Family = keyof typeof families;
const megabit = 1e6;

/** Which module is kept from loading, and how STATUS names it. */
const lacking: readonly (readonly [string, string, RegExp, Conflist])[] = [
  ["veth", "calico's", /kind "veth": .*; load module veth$/, plain],
  ["nf_tables", "calico's", /cannot use nf_tables: the kernel does not have them; load module nf_tables$/, plain],
  ["nft_chain_nat", "calico's", /no nat chains in nf_tables; load module nft_chain_nat$/, plain],
  ["nf_nat", "calico's", /no nat chains in nf_tables; load module nft_chain_nat$/, plain],
  ["nft_masq", "calico's", /no masquerading in nf_tables; load module nft_masq$/, plain],
  ["ifb", "bandwidth's", /kind "ifb": .*; load module ifb$/, plain],
  ["sch_tbf", "bandwidth's", /kind "tbf": .*; load module sch_tbf$/, plain],
  ["sch_ingress", "bandwidth's", /kind "ingress": .*; load module sch_ingress$/, plain],
  ["cls_u32", "bandwidth's", /kind "u32" .*; load module cls_u32$/, plain],
  ["act_mirred", "bandwidth's", /action "mirred": .*; load module act_mirred$/, plain],
  ["nft_fib_ipv4", "portmap's", /no fib lookups in nf_tables; load module nft_fib_ipv4$/, plain],
  ["nft_nat", "portmap's", /no destination NAT in nf_tables; load module nft_nat$/, plain],
  ["nft_ct", "portmap's", /no conntrack matches or masquerading in nf_tables; load module nft_ct nft_masq$/, plain],
  ["xt_multiport", "portmap's", /multiport/, byIptables],
];

let guest: Guest;
let runner: Runner;
/** The node with the first chain's leftovers that are no leaks. */
let clean: string;

beforeEach((context) => {
  context.skip(why !== undefined, why);
});

describe.each(chosen)("Linux %s", (kernel) => {
  beforeAll(() => {
    if (why !== undefined) return;
    requireBuild();
    guest = Guest.start(kernel);
    runner = new Runner({ node: guest, pluginDirs: [guestPluginDir] });
  }, 900_000);

  afterAll(async () => {
    await guest?.stop();
  });

  test("STATUS is ready on a node that has loaded nothing yet, and the first ADD loads the rest", () => {
    clean = snapshot(guest);
    for (const list of [plain, dual]) runner.status(list);
    expectClean(ofModules);
    const pod = newPod("first");
    runner.add(plain, pod);
    runner.check(plain, pod);
    runner.del(plain, pod);
    guest.removePod("first");
    expectClean(ofModules);
  });

  test("VERSION; loopback", () => {
    for (const type of ["calico", "calico-ipam", "bandwidth", "portmap", "loopback"]) {
      expect(runner.version(type).supportedVersions).toContain("1.1.0");
    }
    const list = loadConflist(example("99-loopback.conflist"));
    const pod = { ...newPod("lo1"), ifname: "lo" };
    guest.sh("ip -n lo1 link set lo down");
    runner.add(list, pod);
    expect(guest.sh("ip -n lo1 link show lo")).toContain("LOWER_UP");
    runner.check(list, pod);
    runner.del(list, pod);
    guest.removePod("lo1");
  });

  // A test keeps this process to itself: vitest has to hear of it before the next one.
  afterEach(() => new Promise((resolve) => setTimeout(resolve, 100)));

  describe("IPv4", () => chainOf(plain, [4]));
  describe("both families", () => chainOf(dual, [4, 6]));
  describe.each(["nft", "legacy"])("both families by iptables-%s", (variant) => {
    beforeAll(() => {
      if (why !== undefined) return;
      const programs = ["iptables", "ip6tables"].flatMap((name) =>
        ["", "-save", "-restore"].map((kind) => name + kind),
      );
      guest.sh(programs.map((name) => `ln -sfn xtables-${variant}-multi /usr/sbin/${name}`).join("\n"));
    });
    chainOf(byIptables, [4, 6]);
  });

  describe("without", () => {
    beforeAll(() => {
      if (why !== undefined) return;
      // The node's uplink would keep veth in use; and the kernel is kept from loading what the folder's files name.
      guest.sh(`ip link del uplink; ip netns del outside; mkdir -p /run/.node/modprobe.d; printf '#!/bin/sh\\nexec modprobe -C /run/.node/modprobe.d "$@"\\n' > /run/.node/modprobe
        chmod 755 /run/.node/modprobe; echo /run/.node/modprobe > /proc/sys/kernel/modprobe`);
    });
    test.each(lacking)("%s: %s STATUS says so, nothing stays after ADD, DEL succeeds", (module, _, says, list) => {
      withoutModule(module, () => {
        expect(refusal(() => runner.status(list)).message).toMatch(says);
        const pod = newPod("p9", wishes(8080));
        expect(refusal(() => runner.add(list, pod)).code).toBe(100);
        runner.del(list, pod);
        guest.removePod("p9");
        expect(guest.sh(madeOnHost)).toBe("");
      });
    });

    test("nft_fib_ipv6: IPv4 is served", () => {
      withoutModule("nft_fib_ipv6", () => {
        runner.status(dual);
        const pod = newPod("p9", wishes(8080));
        runner.add(plain, pod);
        runner.check(plain, pod);
        runner.del(plain, pod);
        guest.removePod("p9");
      });
    });
  });

  test("the kernel's log has no warning", () => {
    const bad =
      /WARNING|BUG:|Oops|Call Trace|unregister_netdevice|refcount|hung task|lockup|Unknown symbol|page allocation failure/;
    const lines = guest.sh("dmesg").split("\n");
    expect(lines.filter((line) => bad.test(line))).toEqual([]);
  });
});

/** Prints what the plugins make on the host; without nf_tables `nft` fails. */
const madeOnHost = `ip -o link | grep -E "cali|bwp" || true; nft list ruleset 2>/dev/null | grep tortie || true
  ls /run/tortie/endpoints 2>/dev/null || true`;

/** What a pod asks for; without it the plugins would not reach what is missing. */
function wishes(hostPort: number): JsonObject {
  return {
    portMappings: [
      { hostPort, containerPort: 80, protocol: "tcp" },
      { hostPort: hostPort + 1, containerPort: 53, protocol: "udp" },
    ],
    bandwidth: { ingressRate: 20 * megabit, ingressBurst: megabit, egressRate: 20 * megabit, egressBurst: megabit },
  };
}

/** The life of three pods. */
function chainOf(list: Conflist, among: readonly Family[]): void {
  let pods: readonly (Sandbox & { readonly name: string })[] = [];
  const results = new Map<string, CniResult>();
  const [first, second] = [() => pods[0] as (typeof pods)[0], () => pods[1] as (typeof pods)[0]];
  const address = (pod: { readonly name: string }, family: Family): string =>
    (results.get(pod.name)?.ips ?? [])
      .map((ip) => ip.address.replace(/\/.*/, ""))
      .find((each) => each.includes(":") === (family === 6)) ?? "none";
  const hostInterface = (): string => results.get(first().name)?.interfaces?.[0]?.name ?? "none";
  const add = (pod: (typeof pods)[0]): CniResult => {
    const result = runner.add(list, pod);
    results.set(pod.name, result);
    return result;
  };

  test("ADD of two pods, CHECK", () => {
    guest.sh("rm -rf /run/tortie /var/lib/tortie");
    clean = snapshot(guest);
    runner.status(list);
    pods = [newPod("p1", wishes(8080)), newPod("p2", wishes(8090))];
    for (const pod of pods) add(pod);
    for (const pod of pods) runner.check(list, pod);
    for (const pod of pods) serve(pod.name, 80);
  });

  test.each(among)("ping: pod, node and outside of IPv%s", (family) => {
    const { node, outside } = families[family];
    expect(ping(guest, "p1", address(second(), family)), "from pod to pod").toBe(true);
    expect(ping(guest, "p1", node), "from pod to node").toBe(true);
    expect(ping(guest, undefined, address(first(), family)), "from node to pod").toBe(true);
    expect(ping(guest, "p1", outside), "from pod to outside").toBe(true);
  });

  test.each(among)("natOutgoing of IPv%s: the outside sees the node, pods see each other", (family) => {
    serve("outside", 7000);
    expect(ask(guest, "p1", families[family].outside, 7000)).toBe(`outside sees ${families[family].node}`);
    expect(ask(guest, "p2", address(first(), family), 80)).toBe(`p1 sees ${address(second(), family)}`);
  });

  test.each(among)("a host port of IPv%s: from outside, the node, 127.0.0.1, another pod, the pod itself", (family) => {
    const { node, outside } = families[family];
    expect(ask(guest, "outside", node, 8080)).toBe(`p1 sees ${outside}`);
    for (const from of [undefined, "p1", "p2"]) expect(ask(guest, from, node, 8080)).toContain("p1 sees");
    if (family === 4) expect(ask(guest, undefined, "127.0.0.1", 8080)).toContain("p1 sees");
    expect(ask(guest, "outside", node, 8090)).toContain("p2 sees");
  });

  test("limits hold", () => {
    const [family = 4] = among;
    const { bitsPerSecond } = measureRate(guest, "p1", "outside", families[family].outside, { least: 15 * megabit });
    // A guest on a busy machine is slower than its limit.
    expect(bitsPerSecond / megabit).toBeGreaterThan(5);
    expect(bitsPerSecond / megabit).toBeLessThan(21.5);
  });

  test("a repeated ADD answers the same and changes nothing", () => {
    const before = snapshot(guest, { files: false });
    const answered = results.get("p1");
    expect(add(first())).toEqual(answered);
    expect(diff(before, snapshot(guest, { files: false }))).toBe("");
    runner.check(list, first());
  });

  test("CHECK misses a route, a queue and host ports, and the next ADD mends them", () => {
    const [family = 4] = among;
    const losses: readonly (readonly [string, string])[] = [
      ["calico", `ip -${family} route del ${address(first(), family)} dev ${hostInterface()}`],
      ["bandwidth", `tc qdisc del dev ${hostInterface()} root`],
      ...(list === byIptables ? [] : ([["portmap", "nft flush map ip tortie_portmap ports"]] as const)),
      ...(list === byIptables ? [] : ([["calico", "nft delete table ip tortie"]] as const)),
    ];
    for (const [plugin, loss] of losses) {
      guest.sh(loss);
      const refused = refusal(() => runner.check(list, first()));
      expect([refused.call.plugin, refused.code], loss).toEqual([plugin, 101]);
      for (const pod of pods) add(pod);
      runner.check(list, first());
    }
  });

  test("a host port that is taken is refused, and nothing of that pod stays", () => {
    const before = snapshot(guest, { files: false });
    const third = newPod("p3", wishes(8080));
    expect(refusal(() => runner.add(list, third)).message).toContain("taken");
    runner.del(list, third);
    guest.removePod("p3");
    expect(diff(before, snapshot(guest, { files: false }))).toBe("");
  });

  test("GC removes what is not valid and keeps the rest", () => {
    runner.gc(list, [first()]);
    runner.check(list, first());
    expect(answers(guest, "outside", families[among[0] ?? 4].node, 8090)).toBe(false);
    for (const family of among) expect(ask(guest, "outside", families[family].node, 8080)).toContain("p1 sees");
  });

  test("DEL, also where the namespace is gone, and nothing is left", () => {
    guest.removePod("p1");
    for (const pod of pods) for (const netns of [pod.netns, ""]) runner.del(list, { ...pod, netns });
    guest.removePod("p2");
    guest.sh("for process in $(ip netns pids outside); do kill $process; done");
    expectClean();
  });
}

function newPod(name: string, capabilities: JsonObject = {}): Sandbox & { readonly name: string } {
  return { name, containerId: `${name}-0a1b2c`, netns: guest.addPod(name), ifname: "eth0", capabilities };
}

function serve(spot: string, port: number): void {
  guest.start(serviceOf(guest, port, spot), { in: spot });
  waitForPort(guest, spot, port);
}

function withoutModule(module: string, body: () => void): void {
  unload();
  guest.sh(`echo "install ${module} /bin/false" > /run/.node/modprobe.d/lacking.conf`);
  expect(guest.sh(`lsmod | grep "^${module} " || true`), "what is still in use").toBe("");
  try {
    body();
  } finally {
    guest.sh("rm -f /run/.node/modprobe.d/lacking.conf");
  }
}

/** Unloads whatever of the network's nobody uses. */
function unload(): void {
  guest.sh(`rm -rf /run/tortie /var/lib/tortie
    nft flush ruleset 2>/dev/null || true
    rmmod iptable_nat iptable_raw ip6table_nat ip6table_raw 2>/dev/null || true
    more=yes
    while [ $more = yes ]; do
      more=no
      for module in $(lsmod | awk 'NR > 1 && $3 == 0 { print $1 }'); do
        case $module in ext4 | virtio* | overlay | crc*) ;; *) rmmod $module 2>/dev/null && more=yes ;; esac
      done
    done`);
}

function refusal(action: () => unknown): PluginError {
  try {
    action();
  } catch (error) {
    if (error instanceof PluginError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** The module ifb makes two links when it is loaded. */
const ofModules = /\bifb[01]\b/;

function expectClean(but?: RegExp): void {
  const left = leaks(diff(clean, snapshot(guest))).filter((line) => !but?.test(line));
  expect(left.join("\n")).toBe("");
}

function withPortmap(list: Conflist, more: JsonObject): Conflist {
  return { ...list, plugins: list.plugins.map((each) => (each.type === "portmap" ? { ...each, ...more } : each)) };
}
