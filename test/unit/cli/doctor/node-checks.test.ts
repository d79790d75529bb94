/** Checks of the node itself: kernel, executables, networks, state, locks. */
import { describe, expect, test } from "vitest";
import type { StaticFacts } from "../../../../src/cli/doctor/diagnosis.ts";
import type { Executable } from "../../../../src/cli/doctor/executables.ts";
import { readIptables } from "../../../../src/cli/doctor/firewall.ts";
import { checkLocks } from "../../../../src/cli/doctor/locks.ts";
import type { NetworkFile } from "../../../../src/cli/doctor/networks.ts";
import type { ReadinessFact } from "../../../../src/cli/doctor/readiness.ts";
import { describeDiagnosis, summarise } from "../../../../src/cli/doctor/report.ts";
import { checkState, type StateFile } from "../../../../src/cli/doctor/state.ts";
import { calico, diagnose, type NodeModel, nodeWith } from "./model.ts";

/** The findings about a node without pods, a line each: severity, id, subject, text, the first line of the remedy. */
function told(
  change: (settled: StaticFacts) => Partial<StaticFacts>,
  readiness: readonly ReadinessFact[] = [],
): readonly string[] {
  const node: NodeModel = nodeWith();
  node.readiness = readiness;
  node.settled = { ...node.settled, ...change(node.settled) };
  return diagnose(node).findings.map(
    ({ severity, id, subject, text, remedy }) => `${severity} ${id}: ${subject} ${text} ⇒ ${remedy.split("\n")[0]}`,
  );
}

function withExecutable(name: string, change: Partial<Executable>) {
  return ({ executables }: StaticFacts): Partial<StaticFacts> => ({
    executables: {
      ...executables,
      executables: executables.executables.map((one) => (one.name === name ? { ...one, ...change } : one)),
    },
  });
}

function withFiles(...files: readonly NetworkFile[]) {
  return ({ networks }: StaticFacts): Partial<StaticFacts> => ({ networks: { ...networks, files } });
}

function withFeature(name: string, said: string) {
  return ({ kernel }: StaticFacts): Partial<StaticFacts> => ({
    kernel: { ...kernel, features: { ...kernel.features, [name]: said } },
  });
}

const file = { path: "/etc/cni/net.d/10-calico.conflist", network: calico };
const bridge = {
  path: "/etc/cni/net.d/00-bridge.conflist",
  network: { name: "podman", cniVersion: "0.4.0", plugins: [{ type: "bridge", document: {} }] },
};

describe("checkKernel()", () => {
  test("a feature that a network needs and the kernel lacks is an error, with its modules", () => {
    expect(told(withFeature("ifb", "Error: Unknown device type."))).toEqual([
      "error feature-missing: ifb cannot be used: Error: Unknown device type.: egress limits need it (plugin bandwidth) ⇒ modprobe ifb   # or a kernel that has it built in",
    ]);
  });

  test("one that no network needs is a warning, and what every pod needs is an error even so", () => {
    const network = { ...calico, plugins: calico.plugins.slice(0, 1) };
    const told1 = (name: string) =>
      told((settled) => ({ ...withFeature(name, "no")(settled), ...withFiles({ ...file, network })(settled) }));
    expect(told1("tbf")[0]).toMatch(/^warning feature-missing/);
    expect(told1("veth")[0]).toMatch(/^error feature-missing/);
  });

  test("of features that build on each other the first is named, and what IPv6 alone needs is a warning", () => {
    const without = (...names: readonly string[]) =>
      told(({ kernel }) => ({
        kernel: {
          ...kernel,
          features: { ...kernel.features, ...Object.fromEntries(names.map((name) => [name, "no"])) },
        },
      })).map((line) => line.replace(/: no: .* ⇒ /, " ⇒ "));
    expect(without("nf_tables", "NAT chains", "masquerading", "fib lookups", "IPv6 host ports")).toEqual([
      "error feature-missing: nf_tables cannot be used ⇒ modprobe nf_tables   # or a kernel that has it built in",
    ]);
    expect(without("NAT chains", "masquerading", "IPv6 fib lookups", "IPv6 host ports")).toEqual([
      "error feature-missing: NAT chains cannot be used ⇒ modprobe nft_chain_nat   # or a kernel that has it built in",
      "warning feature-missing: IPv6 fib lookups cannot be used ⇒ modprobe nft_fib_ipv6   # or a kernel that has it built in",
      "warning feature-missing: IPv6 host ports cannot be used ⇒ # boot a kernel of 5.8 or newer",
    ]);
  });

  test("an old release, and a program that is not installed", () => {
    const kernel = (change: object) => told((settled) => ({ kernel: { ...settled.kernel, ...change } }));
    expect(kernel({ release: "4.18.0-553.el8" })[0]).toMatch(
      /^error kernel-old: 4\.18\.0-553\.el8 is older than 4\.19/,
    );
    expect(kernel({ release: "4.19.0-1" })).toEqual([]);
    expect(kernel({ missingPrograms: ["nft"] })[0]).toMatch(
      /^warning program-missing: nft .* ⇒ apt-get install nftables$/,
    );
  });
});

describe("checkExecutables()", () => {
  test("one that is missing is linked from another of ours: all names are one file", () => {
    expect(told(withExecutable("portmap", { path: undefined, build: undefined, versions: [] }))).toEqual([
      "error executable-missing: portmap is in none of /opt/cni/bin: ADD fails for any network that names it ⇒ ln -f /opt/cni/bin/calico /opt/cni/bin/portmap",
    ]);
  });

  test("one that no network needs may be missing", () => {
    expect(told(withExecutable("loopback", { path: undefined, build: undefined, versions: [] }))).toEqual([]);
  });

  test("one that is not executable, and one that does not answer", () => {
    expect(told(withExecutable("bandwidth", { mode: 0o644, build: undefined, fault: "it is not executable" }))).toEqual(
      [
        "error executable-broken: /opt/cni/bin/bandwidth is not executable: ADD fails for any network that names it ⇒ chmod 0755 /opt/cni/bin/bandwidth",
      ],
    );
    expect(told(withExecutable("bandwidth", { build: undefined, fault: "spawn ENOEXEC" }))[0]).toMatch(
      /^error executable-broken: \S+ does not answer: spawn ENOEXEC: .* ⇒ ln -f \/opt\/cni\/bin\/calico \/opt\/cni\/bin\/bandwidth$/,
    );
  });

  test("a file that does not answer needs --force if none answers, because its owner is unknown", () => {
    const silent = (one: Executable) => ({ ...one, build: undefined, fault: "spawn ENOEXEC" });
    const all = told(({ executables }) => ({
      executables: { ...executables, executables: executables.executables.map(silent) },
    }));
    expect(all[0]).toMatch(/ ⇒ tortie install --bin-dir \S+ --force$/);
  });

  test("warns of a foreign executable with one of our names, and of another build", () => {
    expect(told(withExecutable("portmap", { build: undefined }))[0]).toMatch(/^warning executable-foreign: \/opt/);
    const all = told(({ executables }) => ({
      executables: {
        ...executables,
        executables: executables.executables.map((one) => ({ ...one, build: "0.0.1, commit abc" })),
      },
    }));
    expect(all).toEqual([
      expect.stringMatching(/^warning build-different: executables are 0\.0\.1, commit abc, and this command is /),
    ]);
  });

  test("an installation that was interrupted", () => {
    expect(told(withExecutable("calico", { build: "0.0.1, commit abc" }))).toEqual([
      expect.stringMatching(
        /^error executables-mixed: .*calico: 0\.0\.1, commit abc; .*interrupted ⇒ ln -f \/opt\/cni\/bin\/ptp \/opt\/cni\/bin\/calico$/,
      ),
    ]);
  });

  test("one that does not speak the network's version", () => {
    expect(told(withExecutable("portmap", { versions: ["0.4.0", "1.0.0"] }))).toEqual([
      expect.stringMatching(
        /^error version-unsupported: .*version 1\.1\.0 .*supports 0\.4\.0, 1\.0\.0 ⇒ # make network "net" offer 1\.0\.0 at most/,
      ),
    ]);
  });
});

describe("checkNetworks()", () => {
  test.each<[string, (settled: StaticFacts) => Partial<StaticFacts>, RegExp]>([
    ["none", withFiles(), /^error network-missing: \/etc\/cni\/net\.d contains no network configuration/],
    ["none of ours", withFiles(bridge), /^error network-missing: .* network with a plugin of Tortie/],
    [
      "one after another's",
      withFiles(bridge, file),
      /^warning network-shadowed: .* comes after \/etc\/cni\/net\.d\/00/,
    ],
    [
      "one of a name that is taken",
      withFiles(file, { ...file, path: "/etc/cni/net.d/20.conflist" }),
      /^error network-name-taken: \/etc\/cni\/net\.d\/20/,
    ],
    [
      "a broken one before ours",
      withFiles({ path: "/etc/cni/net.d/00-x.conf", fault: "Unexpected end of JSON input" }, file),
      /^error network-broken: /,
    ],
    [
      "a broken one after ours",
      withFiles(file, { path: "/etc/cni/net.d/99-x.conf", fault: "Unexpected end of JSON input" }),
      /^warning network-broken: /,
    ],
    [
      "one that passes no port mappings",
      withFiles({
        ...file,
        network: { ...calico, plugins: calico.plugins.map((one) => ({ ...one, document: { type: one.type } })) },
      }),
      /^warning capability-missing: \S+ portmap lacks "capabilities": \{"portMappings": true\}/,
    ],
    [
      "one with a misspelt key, of which what ADD refuses is told by STATUS alone",
      withFiles({
        ...file,
        network: {
          ...calico,
          plugins: calico.plugins.map((one) => ({ ...one, document: { ...one.document, mttu: 1400, log_level: 7 } })),
        },
      }),
      /^warning network-slip: \S+ has keys or values that the plugins do not understand: plugins\[0\]\.mttu: calico does not have this key \(did you mean "mtu"\?\); plugins\[1\]\.mttu(?!.*log_level).* ⇒ # change .*; tortie validate -f/,
    ],
  ])("%s", (_, change, text) => {
    expect(told(change)).toEqual(expect.arrayContaining([expect.stringMatching(text)]));
  });

  test("what a plugin says of its configuration, and of an ADD that would come now", () => {
    const call = { path: "/opt/cni/bin/calico", command: "STATUS", pluginPath: "/opt/cni/bin", document: {} } as const;
    const asked = { file: file.path, type: "calico", needs: ["calico", "calico-ipam"], call };
    const say = (code: number, message: string, isExhausted = false) =>
      told(() => ({}), [{ ...asked, code, message, isExhausted }]);
    expect(say(7, '"mtu" must be an integer')[0]).toMatch(/^error network-refused: .*calico is rejected .*"mtu" must/);
    expect(say(50, "cannot assign IPv4 addresses: No IPs available in pools: []", true)[0]).toMatch(
      /^error plugin-not-ready: .* ⇒ tortie ipam check;/,
    );
    expect(say(50, "cannot write")[0]).toMatch(/^error plugin-not-ready: .* ⇒ # resolve what the message says/);
  });
});

describe("checkState()", () => {
  const whole: StateFile = {
    path: "/run/tortie/endpoints/net:a:eth0.json",
    kind: "file",
    mode: 0o600,
    user: 0,
    ageSeconds: 100,
  };
  const directory: StateFile = { ...whole, path: "/run/tortie", kind: "directory", mode: 0o700 };
  const judge = (change: Partial<StateFile>, runFileSystem = "tmpfs") =>
    checkState({ runFileSystem, files: [directory, { ...whole, ...change }] }, 60).map(
      ({ severity, id, text, remedy }) => `${severity} ${id}: ${text} ⇒ ${remedy}`,
    );

  test("as it is made it has no finding", () => {
    expect(judge({})).toEqual([]);
  });

  test.each<[Partial<StateFile>, RegExp]>([
    [{ mode: 0o644 }, /^error mode-wrong: has mode 0644, wanted 0600: others may .* ⇒ chmod 0600 /],
    [{ mode: 0o200 }, /^error mode-wrong: has mode 0200, wanted 0600: its owner may not/],
    [{ user: 1000 }, /^error owner-wrong: belongs to user 1000, .* ⇒ chown -h root:root /],
    [
      { path: "/run/tortie/endpoints/.tmp-00ff" },
      /^error temporary-file-left: .* ⇒ rm \/run\/tortie\/endpoints\/\.tmp-00ff$/,
    ],
    [
      { path: "/run/tortie/ipam/blocks/10-0-0-0-26.json.damaged-1704067200.5" },
      /^warning damaged-file-kept: was damaged and moved aside/,
    ],
  ])("%o", (change, text) => {
    expect(judge(change)).toEqual([expect.stringMatching(text)]);
  });

  test("ignores a temporary file within the grace period, because a process may be writing it", () => {
    expect(judge({ path: "/run/tortie/endpoints/.tmp-00ff", ageSeconds: 59 })).toEqual([]);
  });

  test("a pool that a person wrote may be readable to others, and whose file is whose", () => {
    expect(judge({ path: "/var/lib/tortie/ippools/p.json", mode: 0o644 })).toEqual([]);
  });

  test("a disk under /run keeps addresses of pods that a reboot ended", () => {
    expect(judge({}, "ext4")).toEqual([expect.stringMatching(/^error state-not-volatile: is on ext4/)]);
  });
});

test("checkLocks() names a lock's holder, alive or dead", () => {
  const held = [
    { path: "/run/tortie/ipam.lock", pid: 812, name: "calico" },
    { path: "/run/tortie/iptables.lock", pid: 9, name: undefined },
  ];
  expect(checkLocks({ held }).map(({ subject, text, remedy }) => `${subject} ${text} ⇒ ${remedy}`)).toEqual([
    "/run/tortie/ipam.lock is held by process 812 (calico): every ADD and DEL waits for it, and fails after 40 s ⇒ kill 812   # if it hangs",
    "/run/tortie/iptables.lock is held by process 9, which ended and passed it on: every ADD and DEL waits for it, and fails after 40 s ⇒ fuser -v /run/tortie/iptables.lock   # and stop the process that has it",
  ]);
});

test("readIptables() finds whose each chain is and where it leads", () => {
  const text = `*nat
:CNI-DN-0123 - [0:0]
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"c1\\"" -m multiport --dports 80,81 -j CNI-DN-0123
-A CNI-HOSTPORT-DNAT -p udp -m comment --comment "dnat name: \\"net\\" id: \\"c1\\" if: \\"net1\\"" -m multiport --dports 53 -j CNI-DN-4567
-A CNI-DN-0123 -s 10.0.0.5/32 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-0123 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080
-A CNI-DN-0123 -p tcp -m tcp --dport 81 -j DNAT --to-destination 10.0.0.5:8081
-A CNI-DN-4567 -p udp -m udp --dport 53 -j DNAT --to-destination [fd00::5]:53
COMMIT
*raw
-A PREROUTING -d 127.0.0.0/8 ! -i lo -m comment --comment "127.0.0.0/8 is for the host alone" -j DROP
COMMIT
`;
  const c1 = { network: "net", containerId: "c1" };
  const port = (protocol: string, number: number) => ({ protocol, port: number, hostIp: undefined });
  expect(readIptables("ip", text)).toEqual({
    family: "ip",
    entries: [
      { ...c1, ifname: "eth0", chain: "CNI-DN-0123", targets: ["10.0.0.5"], ports: [port("tcp", 80), port("tcp", 81)] },
      { ...c1, ifname: "net1", chain: "CNI-DN-4567", targets: ["fd00::5"], ports: [port("udp", 53)] },
    ],
    guards: ['-A PREROUTING -d 127.0.0.0/8 ! -i lo -m comment --comment "127.0.0.0/8 is for the host alone" -j DROP'],
  });
});

test("describeDiagnosis() tells what repairs each thing with --verbose, and what is for people to do always", () => {
  const node = nodeWith("a", "b");
  Object.assign(node.pods[0] as object, { hasNamespace: false, ifb: "missing" });
  const verbose = describeDiagnosis(diagnose(node), { offer: true, verbose: true, colours: false });
  expect(verbose).toMatch(/remedy: echo .* CNI_COMMAND=DEL .*\n {19}echo .* CNI_COMMAND=DEL /);
  Object.assign(node.pods[0] as object, { hasNamespace: true, holder: 812, ifb: "whole" });
  const text = describeDiagnosis(diagnose(node), { offer: true, verbose: false, colours: false });
  expect(text).toContain("           remedy: kill 812   # if the runtime no longer knows the pod;");
});

test("describeDiagnosis() has colours on a terminal: of the word that says how it is", () => {
  const node = nodeWith("a");
  const plain = describeDiagnosis(diagnose(node), { offer: true, verbose: false, colours: false });
  const coloured = describeDiagnosis(diagnose(node), { offer: true, verbose: false, colours: true });
  expect(coloured).toContain("  \x1b[32mOK\x1b[39m       1 alive\n");
  expect(coloured.replace(/\x1b\[\d+m/g, "")).toBe(plain);
});

test("summarise() tells the first few of many lines that say the same, and counts the rest", () => {
  const called = (n: number) => `called ADD of portmap for net/c${n}/eth0`;
  const released = (n: number) => `released 10.0.0.${n} of handle "net.c${n}"`;
  const numbers = Array.from({ length: 58 }, (_, index) => index);
  const steps = [
    ...[0, 1, 2, 3].map((n) => ({ kind: "called ADD of portmap", text: called(n) })),
    { kind: "ran modprobe", text: "ran modprobe ifb" },
    ...numbers.map((n) => ({ kind: "repaired leaked address", text: released(n) })),
  ];
  const more = "repaired leaked address …: 55 more (--verbose)";
  expect(summarise(steps)).toEqual([...steps.slice(0, 8).map(({ text }) => text), more]);
});

test("describeDiagnosis() tells what was looked at, what is wrong, and at most ten of a kind", () => {
  const node = nodeWith("a", "b");
  const text = describeDiagnosis(diagnose(node), { offer: true, verbose: false, colours: false });
  expect(text).toMatchInlineSnapshot(`
    "Checking kernel...
      OK       Linux 6.1.0-28-amd64; veth, nf_tables, NAT chains, masquerading, fib lookups, destination NAT, conntrack matches, IPv6 fib lookups, IPv6 host ports, ifb, tbf, ingress, u32, mirred
    Checking executables...
      OK       calico, ptp, calico-ipam, bandwidth, portmap, loopback in /opt/cni/bin; 0.0.0-source, commit unknown
    Checking network configuration...
      OK       net: calico, bandwidth, portmap
    Checking state directories...
      OK       /run/tortie on tmpfs
    Checking locks...
      OK       free
    Checking attachments...
      OK       2 alive
    Checking firewall...
      OK       2 tables, 1 host port
    Checking rate limits...
      OK       1 ifb link
    Checking addresses...
      OK       2 assigned
    Checking the paths of packets...
      OK       no pods

    Found 0 errors and 0 warnings.
    "
  `);
  const many = nodeWith(...Array.from({ length: 12 }, (_, index) => `p${index}`));
  for (const pod of many.pods) Object.assign(pod, { hasNamespace: false, ifb: "missing" });
  const lines = describeDiagnosis(diagnose(many), { offer: true, verbose: false, colours: false }).split("\n");
  expect(lines.filter((line) => line.startsWith("  FAIL"))).toHaveLength(10);
  expect(lines).toContain("           and 2 more with id attachment-left (-o json)");
  expect(lines.filter((line) => line.includes("remedy:"))).toEqual([
    "           remedy: tortie doctor --fix --only attachment-left",
  ]);
  expect(lines.at(-2)).toBe("Found 12 errors and 0 warnings; tortie doctor --fix repairs 12.");
});
