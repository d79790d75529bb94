/**
 * Damage to the objects that a chain created for a live pod: the doctor finds and names each, `--fix` repairs it, and afterwards CHECK of the
 * whole chain passes, and the host port and the limits work.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { someOf } from "../lib/how-many.ts";
import { doctor } from "../lib/node/doctor.ts";
import { DoctorNode, type Pod } from "../lib/node/doctor-node.ts";
import { queueRates } from "../lib/node/expect-rate.ts";
import { Node, nodeAddress4 } from "../lib/node/netns.ts";
import { answers, ask, serve } from "../lib/node/traffic.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, goPluginDir, ourPluginDir, pluginDirs, requireBuild } from "../lib/suite.ts";

const limits = { ingressRate: 20_000_000, ingressBurst: 2_000_000, egressRate: 10_000_000, egressBurst: 1_000_000 };

let directory: string;

beforeAll(() => {
  requireBuild();
  directory = mkdtempSync(join(tmpdir(), "tortie-doctor-"));
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

/** A conflist like the example's, with another back end of `portmap`. */
function withBackend(backend: "nftables" | "iptables"): string {
  const path = join(directory, `10-${backend}.conflist`);
  const list = JSON.parse(loadConflist(example("10-calico.conflist")).text);
  for (const plugin of list.plugins) if (plugin.type === "portmap") plugin.backend = backend;
  writeFileSync(path, JSON.stringify(list));
  return path;
}

interface Breakage {
  readonly name: string;
  readonly script: (pod: Pod) => string;
  /** The IDs of the findings, in any order, and patterns for their texts. */
  readonly ids: readonly string[];
  readonly text: RegExp;
}

const breakages: readonly Breakage[] = [
  {
    name: "nft flush ruleset",
    script: () => "nft flush ruleset",
    ids: ["nat-different", "host-ports-different", "host-ports-different"],
    text: /(?=[\s\S]*table ip tortie is missing)[\s\S]*table ip tortie_portmap is missing/,
  },
  {
    name: "the port mappings' table",
    script: () => "nft delete table ip tortie_portmap",
    ids: ["host-ports-different", "host-ports-different"],
    text: /table ip tortie_portmap is missing/,
  },
  {
    name: "the rules of one chain",
    script: () => "nft flush chain ip tortie_portmap hostports",
    ids: ["host-ports-different", "host-ports-different"],
    text: /rule .* of chain ip tortie_portmap hostports is missing/,
  },
  {
    name: "one port in the map",
    script: ({ hostPort }) => `nft delete element ip tortie_portmap ports '{ tcp . ${hostPort} }'`,
    ids: ["host-ports-different"],
    text: /has host ports that differ from those requested: element .* of ip tortie_portmap ports is missing/,
  },
  {
    name: "the queue towards the pod",
    script: ({ hostInterface }) => `tc qdisc del dev ${hostInterface} root`,
    ids: ["limits-different"],
    text: /has rate limits that differ from those requested: qdisc tbf .* is missing/,
  },
  {
    name: "the ifb",
    script: ({ ifb }) => `ip link del ${ifb}`,
    ids: ["limits-different"],
    text: /link bwp\w+ is missing/,
  },
  {
    name: "the queue of the ifb",
    script: ({ ifb }) => `tc qdisc del dev ${ifb} root`,
    ids: ["limits-different"],
    text: /qdisc tbf .* is missing/,
  },
  {
    name: "the filter that sends packets to the ifb",
    script: ({ hostInterface }) => `tc filter del dev ${hostInterface} ingress`,
    ids: ["limits-different"],
    text: /redirect|filter/,
  },
  {
    name: "the ingress hook",
    script: ({ hostInterface }) => `tc qdisc del dev ${hostInterface} ingress`,
    ids: ["limits-different"],
    text: /ingress .* is missing/,
  },
  {
    name: "the ifb's owner is down",
    script: ({ ifb }) => `ip link set ${ifb} down`,
    ids: ["limits-different"],
    text: /link bwp\w+ is down/,
  },
  {
    name: "the host interface",
    script: ({ hostInterface }) => `ip link del ${hostInterface}`,
    ids: ["attachment-broken"],
    text: /has no host interface cali\w+: its pod has no network/,
  },
  {
    name: "the pod's interface",
    script: ({ name }) => `ip -n ${name} link del eth0`,
    ids: ["attachment-broken"],
    text: /has no host interface/,
  },
  {
    name: "the host interface and its record",
    script: ({ hostInterface, record }) => `ip link del ${hostInterface}; rm ${record}`,
    ids: ["attachment-broken"],
    text: /has neither a host interface nor an endpoint record/,
  },
  {
    name: "the node's route to the pod",
    script: ({ address }) => `ip route del ${address}/32`,
    ids: ["attachment-different"],
    text: /route .* is missing/,
  },
  {
    name: "the pod's default route",
    script: ({ name }) => `ip -n ${name} route del default`,
    ids: ["attachment-different"],
    text: /route 0\.0\.0\.0\/0 .* is missing/,
  },
  {
    name: "the pod's address",
    script: ({ name, address }) => `ip -n ${name} address del ${address}/32 dev eth0`,
    ids: ["attachment-different"],
    text: /address .* is missing/,
  },
  {
    name: "the pod's neighbour",
    script: ({ name }) => `ip -n ${name} neighbour del 169.254.1.1 dev eth0`,
    ids: ["attachment-different"],
    text: /neighbour|169\.254\.1\.1/,
  },
  {
    name: "proxy ARP",
    script: ({ hostInterface }) => `sysctl -qw net.ipv4.conf.${hostInterface}.proxy_arp=0`,
    ids: ["attachment-different"],
    text: /proxy_arp is "0", wanted "1"/,
  },
  {
    name: "the pod's interface is down",
    script: ({ name }) => `ip -n ${name} link set eth0 down`,
    ids: ["attachment-different"],
    text: /link eth0 is down/,
  },
  {
    name: "the host interface is down",
    script: ({ hostInterface }) => `ip link set ${hostInterface} down`,
    ids: ["attachment-different"],
    text: /link cali\w+ is down/,
  },
  {
    name: "the record",
    script: ({ record }) => `rm ${record}`,
    ids: ["record-missing"],
    text: /and no record/,
  },
  {
    name: "the record, torn",
    script: ({ record }) => `truncate -s 100 ${record}`,
    ids: ["record-damaged"],
    text: /has a record that cannot be read/,
  },
];

/** Damage that is specific to the back end `iptables`. */
const breakagesOfIptables: readonly Breakage[] = [
  {
    name: "iptables -t nat -F",
    script: () => "iptables -t nat -F",
    ids: ["host-ports-different", "host-ports-different"],
    text: /has host ports that differ from those requested: /,
  },
  {
    name: "the jump from PREROUTING",
    script: () => "iptables -t nat -S PREROUTING | sed -n 's/^-A/iptables -t nat -D/p' | sh",
    ids: ["host-ports-different", "host-ports-different"],
    text: /PREROUTING/,
  },
];

describe.each([
  ["nftables", breakages],
  ["iptables", breakagesOfIptables],
] as const)("with back end %s, of a pod that lives somebody breaks", (backend, table) => {
  let host: DoctorNode;
  let pod: Pod;

  beforeAll(async () => {
    host = await DoctorNode.start({ conflist: withBackend(backend), limits });
    pod = host.addPod();
    for (const { name } of [host.neighbour, pod]) serve(host.node, name, 80);
    expect(host.doctor()).toEqual({ exitCode: 0, findings: [], remarks: [], notes: [] });
  });

  afterAll(async () => {
    await host?.stop();
  });

  // Every third, unless asked for all.
  test.each(someOf(table, Math.ceil(table.length / 3)))("$name", async ({ script, ids, text }) => {
    // Let the test runner communicate.
    await setImmediate();
    onTestFailed(() => void host.doctor({ fix: true }));
    host.node.sh(script(pod));
    const { exitCode, findings } = host.doctor();
    expect(findings.map(({ id }) => id).sort()).toEqual([...ids].sort());
    expect(findings.map((finding) => finding.text).join("\n")).toMatch(text);
    expect(exitCode).toBe(3);
    const repaired = host.doctor({ fix: true });
    expect(repaired.notes.filter((line) => line.startsWith("cannot"))).toEqual([]);
    expect(repaired).toMatchObject({ exitCode: 0, findings: [] });
    host.runner.check(host.list, pod);
    host.runner.check(host.list, host.neighbour);
    for (const { name, hostPort } of [host.neighbour, pod]) {
      expect(ask(host.node, "outside", nodeAddress4, hostPort)).toContain(`${name} sees`);
    }
    expect(queueRates(host.node)).toEqual({
      toPods: [limits.ingressRate, limits.ingressRate],
      fromPods: [limits.egressRate, limits.egressRate],
    });
  });

  test("nothing, and DEL leaves nothing of it", () => {
    host.removePod(pod);
    expect(host.doctor()).toEqual({ exitCode: 0, findings: [], remarks: [], notes: [] });
    expect(host.node.sh("ls /run/tortie/parts").split("\n").filter(Boolean)).toHaveLength(3);
    host.expectNeighbourServed();
  });
});

describe("behind another main plugin", () => {
  test("host ports are judged by what the pod has, repaired, and go with a sandbox that is gone", async () => {
    const path = join(directory, "20-bridge.conflist");
    const plugins = [
      {
        type: "bridge",
        bridge: "br-x",
        isGateway: true,
        ipMasq: false,
        ipam: { type: "host-local", subnet: "10.77.0.0/24", routes: [{ dst: "0.0.0.0/0" }] },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ];
    writeFileSync(path, JSON.stringify({ cniVersion: "1.0.0", name: "bridged", plugins }));
    const list = loadConflist(path);
    const node = await Node.start();
    try {
      const runner = new Runner({ node, pluginDirs });
      const at = { conflist: path, binDirs: [ourPluginDir, goPluginDir] };
      const pod: Sandbox = {
        containerId: "c1",
        netns: node.addPod("c1"),
        ifname: "eth0",
        capabilities: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
      };
      runner.add(list, pod);
      serve(node, "c1", 80);
      expect(ask(node, "outside", nodeAddress4, 8080)).toContain("c1 sees");
      expect(doctor(node, at)).toMatchObject({ exitCode: 0, findings: [] });
      node.sh("nft flush ruleset");
      expect(answers(node, "outside", nodeAddress4, 8080)).toBe(false);
      expect(doctor(node, at).findings.map(({ id }) => id)).toEqual(["host-ports-different"]);
      expect(doctor(node, { ...at, fix: true })).toMatchObject({ exitCode: 0, findings: [] });
      expect(ask(node, "outside", nodeAddress4, 8080)).toContain("c1 sees");
      runner.check(list, pod);
      node.removePod("c1");
      expect(doctor(node, at).findings.map(({ id }) => id)).toEqual(["attachment-left"]);
      expect(doctor(node, { ...at, fix: true })).toMatchObject({ exitCode: 0, findings: [] });
      expect(node.sh("ls /run/tortie/parts")).toBe("");
    } finally {
      await node.stop();
    }
  });
});

/** The example's chain with Debian's tuning, which sets a sysctl in the pod. */
function withTuning(): string {
  const path = join(directory, "30-tuning.conflist");
  const list = JSON.parse(loadConflist(example("10-calico.conflist")).text);
  list.cniVersion = "1.0.0";
  delete list.cniVersions;
  list.plugins.splice(1, 0, { type: "tuning", sysctl: { "net.ipv4.tcp_syncookies": "2" } });
  writeFileSync(path, JSON.stringify(list));
  return path;
}

describe("with another's plugin in the chain", () => {
  let host: DoctorNode;
  let pod: Pod;

  beforeAll(async () => {
    host = await DoctorNode.start({ conflist: withTuning(), limits });
    pod = host.addPod();
    for (const { name } of [host.neighbour, pod]) serve(host.node, name, 80);
    expect(host.doctor()).toEqual({ exitCode: 0, findings: [], remarks: [], notes: [] });
  });

  afterAll(async () => {
    await host?.stop();
  });

  test("plugin-different: what it made is judged and repaired as well", () => {
    host.node.sh("sysctl -qw net.ipv4.tcp_syncookies=0", { in: pod.name });
    host.expectRepaired("plugin-different", /tuning .*differs from what plugin "tuning" made it/);
    expect(host.node.sh("sysctl -n net.ipv4.tcp_syncookies", { in: pod.name })).toBe("2\n");
  });

  test("attachment-broken: the whole chain is called, in its order", () => {
    host.node.sh(`ip link del ${pod.hostInterface}`);
    const { notes } = host.doctor({ fix: true });
    expect(notes.map((line) => line.replace(/ for .*/, ""))).toEqual(
      ["calico", "tuning", "bandwidth", "portmap"].map((type) => `called ADD of ${type}`),
    );
    host.runner.check(host.list, pod);
    expect(ask(host.node, "outside", nodeAddress4, pod.hostPort)).toContain(`${pod.name} sees`);
  });
});

describe("made by an earlier release, which recorded no parts", () => {
  let host: DoctorNode;
  let pod: Pod;

  beforeAll(async () => {
    host = await DoctorNode.start({ limits });
    pod = host.addPod();
    serve(host.node, pod.name, 80);
    host.node.sh(`rm /run/tortie/parts/*; sed -i -z 's|,\\s*"tortie/namespaces": "[^"]*"||' /run/tortie/endpoints/*`);
    host.node.sh(`tc qdisc del dev ${pod.hostInterface} root; nft delete table ip tortie_portmap`);
  });

  afterAll(async () => {
    await host?.stop();
  });

  /** The cache of libcni. */
  function remember({ containerId, netns, capabilities }: Pod): void {
    const result = host.runner.cached(host.list, { containerId, netns, ifname: "eth0" });
    const config = Buffer.from(host.list.text).toString("base64");
    const entry = { kind: "cniCacheV1", containerId, config, ifName: "eth0", networkName: host.list.name, netns };
    const cniArgs = [
      ["IgnoreUnknown", "1"],
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", containerId.slice(0, 2)],
    ];
    host.node.sh(`mkdir -p /var/lib/cni/results; cat > /var/lib/cni/results/${host.list.name}-${containerId}-eth0`, {
      stdin: JSON.stringify({ ...entry, cniArgs, capabilityArgs: capabilities, result }),
    });
  }

  test("what nobody remembers is not checked, and that is said", () => {
    const { findings, remarks } = host.doctor();
    expect(findings).toEqual([]);
    expect(remarks).toEqual([
      expect.stringMatching(/^k8s-pod-network\/p0-0a1b2c\/eth0, .*: what plugin "bandwidth" made is not checked/),
      expect.stringMatching(/^k8s-pod-network\/p0-0a1b2c\/eth0, .*: what plugin "portmap" made is not checked/),
    ]);
  });

  test("what libcni remembers is judged and repaired, and recorded from then on", () => {
    for (const one of [pod, host.neighbour]) remember(one);
    const ids = host.doctor().findings.map(({ id }) => id);
    expect(ids.sort()).toEqual(["host-ports-different", "host-ports-different", "limits-different"]);
    expect(host.doctor({ fix: true })).toMatchObject({ exitCode: 0, findings: [] });
    host.runner.check(host.list, pod);
    expect(ask(host.node, "outside", nodeAddress4, pod.hostPort)).toContain(`${pod.name} sees`);
    expect(host.node.sh(`cat /run/tortie/parts/*:${pod.containerId}:eth0:portmap.json`)).toContain(`${pod.hostPort}`);
  });
});

test("tortie doctor reports missing kernel features in spite of a damaged block", async () => {
  const host = await DoctorNode.start();
  try {
    host.node.sh("for file in /run/tortie/ipam/blocks/*; do truncate -s 200 $file; done; nft flush ruleset");
    const ids = new Set(host.doctor().findings.map(({ id }) => id));
    expect([...ids].sort()).toEqual(
      expect.arrayContaining(["damaged-object", "host-ports-different", "nat-different"]),
    );
    expect(host.doctor({ fix: true })).toMatchObject({ exitCode: 0 });
    host.runner.check(host.list, host.neighbour);
  } finally {
    await host.stop();
  }
});
