import { beforeEach, describe, expect, test } from "vitest";
import calicoIpam from "../../../plugins/calico-ipam/main.ts";
import { exitCodeOf } from "../../../src/plugin/run.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";

let machine: FakeMachine;
let netns: string;

beforeEach(() => {
  machine = new FakeMachine();
  netns = machine.addSandbox("pod");
});

describe("calico-ipam ADD", () => {
  test("without any pool makes 192.168.0.0/16 and answers with the block's mask", () => {
    const [ip] = add({ args: "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web" }).ips;
    expect(ip).toMatch(/^192\.168\.\d+\.\d+\/26$/);
    expect(file("/var/lib/tortie/ippools/default-ipv4-ippool.json")).toMatchObject({
      apiVersion: "projectcalico.org/v3",
      spec: { cidr: "192.168.0.0/16", blockSize: 26, natOutgoing: true, allowedUses: ["Workload", "Tunnel"] },
    });
    const [name = ""] = machine.files.list("/run/tortie/ipam/blocks");
    expect(file(`/run/tortie/ipam/blocks/${name}`)).toMatchObject({
      spec: {
        affinity: "host:node-1",
        attributes: [
          {
            handle_id: "k8s-pod-network.3f2a",
            secondary: {
              interface: "eth0",
              namespace: "default",
              node: "node-1",
              pod: "web",
              timestamp: "2024-01-01 00:00:00 +0000 UTC",
            },
          },
        ],
      },
    });
  });

  test("makes an IPv6 pool of random unique local addresses", () => {
    const { ips } = add({ ipam: { assign_ipv4: "false", assign_ipv6: "true" } });
    expect(ips).toEqual([expect.stringMatching(/^fd[0-9a-f]{2}:.*\/122$/)]);
    expect(machine.files.list("/var/lib/tortie/ippools")).toEqual(["default-ipv6-ippool.json"]);
  });

  test("makes pools of the configuration's CIDRs, once", () => {
    const ipam = { assign_ipv6: true, ipv4_pools: ["10.7.0.0/24", "10.8.0.0/24"], ipv6_pools: ["fd77::/64"] };
    expect(add({ ipam }).ips.map((ip) => ip.slice(0, 4))).toEqual(["10.7", "fd77"]);
    expect([...machine.files.list("/var/lib/tortie/ippools")].sort()).toEqual([
      "default-ipv4-ippool.json",
      "default-ipv6-ippool.json",
      "ippool-10-8-0-0-24.json",
    ]);
    expect(run("ADD", { container: "b", ipam: { ipv4_pools: ["10.9.0.0/24"] } })).toMatchObject({
      code: 7,
      msg: 'cannot use pool "10.9.0.0/24": the given pool (10.9.0.0/24) does not exist, or is not enabled; enabled IPv4 pools are "default-ipv4-ippool" (10.7.0.0/24), "ippool-10-8-0-0-24" (10.8.0.0/24); ADD creates configured pools only while the node has no pool of their family; create it with: echo \'{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: ippool-10-9-0-0-24}, spec: {cidr: 10.9.0.0/24, natOutgoing: true}}\' | tortie apply -f -',
    });
  });

  test.each([
    ["10.7.0.0/29", "10.7.0.0/29", { ipv4_pools: ["10.7.0.0/29"] }],
    ["fd77::9/128", "fd77::9/128", { assign_ipv4: "false", assign_ipv6: "true", ipv6_pools: ["fd77::9/128"] }],
  ])("makes a pool of %s one block of its own size", (_, ip, ipam) => {
    expect(add({ ipam }).ips).toEqual([ip]);
  });

  test("repeated gives the same address", () => {
    expect(add()).toEqual(add());
  });

  test.each([
    ["CNI_ARGS", { args: "IP=192.168.3.4" }, ["192.168.3.4/32"]],
    ["runtimeConfig.ips", { document: { runtimeConfig: { ips: ["192.168.3.4/16"] } } }, ["192.168.3.4/32"]],
    [
      "args.cni.ips",
      { document: { args: { cni: { ips: ["192.168.3.4", "192.168.3.5"] } } } },
      ["192.168.3.4/32", "192.168.3.5/32"],
    ],
  ])("gives the address that %s asks for, with its own mask", (_, call, ips) => {
    expect(add(call).ips).toEqual(ips);
    expect(run("ADD", { ...call, container: "b" })).toMatchObject({
      code: 102,
      msg: expect.stringContaining("Address already assigned in block 192.168.3.0/26"),
    });
    run("DEL", {});
    expect(add({ ...call, container: "b" }).ips).toEqual(ips);
  });

  test.each([
    ["IP=300.1.1.1", 7, 'cannot assign address "300.1.1.1": "IP" must contain IP addresses'],
    ["IP=10.1.1.1", 7, "The provided IP address is not in a configured pool"],
  ])("refuses %s", (args, code, msg) => {
    expect(run("ADD", { args })).toMatchObject({ code, msg: expect.stringContaining(msg) });
  });

  test("without an address left answers 102 and leaves nothing behind", () => {
    const ipam = { assign_ipv6: "true", ipv4_pools: ["10.7.0.0/32"], ipv6_pools: ["fd77::/120"] };
    put("IPPool", "tiny", { cidr: "10.7.0.0/32", blockSize: 32 });
    add({ ipam });
    expect(run("ADD", { container: "b", ipam })).toMatchObject({
      code: 102,
      msg: "failed to request IPv4 addresses: Assigned 0 out of 1 requested IPv4 addresses; No IPs available in pools: [10.7.0.0/32]",
    });
    expect(machine.files.list("/run/tortie/ipam/handles")).toEqual(["k8s-pod-network.3f2a.json"]);
  });

  test("takes back what it assigned when its answer cannot be written, and nothing older", () => {
    const older = add().ips;
    machine.nowMs += 1000;
    run("ADD", { container: "b", brokenPipe: true });
    expect(machine.files.list("/run/tortie/ipam/handles")).toEqual(["k8s-pod-network.3f2a.json"]);
    run("ADD", { brokenPipe: true });
    expect(add().ips).toEqual(older);
  });

  test("names the gateways and routes that the configuration has, and gives no pod the gateway's, the network's or the broadcast address", () => {
    put("IPPool", "subnet", { cidr: "10.9.0.0/29", blockSize: 29 });
    const ipam = { ipv4_pools: ["subnet"], gateways: ["10.9.0.1"], routes: [{ dst: "0.0.0.0/0" }] };
    const answers = ["a", "b", "c"].map((container) => run("ADD", { container, ipam }));
    expect(answers[0]).toEqual({
      cniVersion: "1.1.0",
      ips: [{ address: "10.9.0.2/29", gateway: "10.9.0.1" }],
      routes: [{ dst: "0.0.0.0/0" }],
    });
    const byName = run("ADD", { container: "d", ipam, args: "IP=10.9.0.6" });
    expect(byName).toMatchObject({ ips: [{ address: "10.9.0.6/29", gateway: "10.9.0.1" }] });
    expect(add({ container: "e", ipam }).ips).toEqual(["10.9.0.5/29"]);
    expect(run("ADD", { container: "h", ipam })).toMatchObject({ code: 102 });
    for (const address of ["10.9.0.0", "10.9.0.1", "10.9.0.7"]) {
      const msg = `cannot assign address ${address}: it is a gateway of the configuration, or the network or broadcast address of its subnet 10.9.0.0/29`;
      expect(run("ADD", { container: "i", ipam, args: `IP=${address}` })).toMatchObject({ code: 102, msg });
    }
  });

  test("an address of any block of a gateway's pool has the pool's prefix length; routes of a family without an address are left out", () => {
    put("IPPool", "subnet", { cidr: "10.9.0.0/24", blockSize: 29 });
    const ipam = {
      ipv4_pools: ["subnet"],
      gateways: ["10.9.0.1", "fd00::1"],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
    };
    const args = "IP=10.9.0.77";
    expect(run("ADD", { container: "a", ipam, args })).toEqual({
      cniVersion: "1.1.0",
      ips: [{ address: "10.9.0.77/24", gateway: "10.9.0.1" }],
      routes: [{ dst: "0.0.0.0/0" }],
    });
  });

  test.each([
    [{ gateways: ["10.9.0"] }, 'cannot use gateway "10.9.0": not an IP address'],
    [
      { gateways: ["10.9.0.1", "fd00::1", "10.9.0.2"] },
      'cannot use gateway "10.9.0.2" beside "10.9.0.1": one of each family is used',
    ],
    [{ routes: [{ dst: "10.9.0.0/8" }] }, 'cannot use route to "10.9.0.0/8": it has host bits; write "10.0.0.0/8"'],
    [{ routes: [{ dst: "10.9.0.0" }] }, 'cannot use route to "10.9.0.0": not an address with a prefix length'],
    [
      { routes: [{ dst: "10.0.0.0/8", gw: "eth0" }] },
      'cannot use route to "10.0.0.0/8": its gateway "eth0" is not an IP address',
    ],
  ])("refuses %j", (ipam, msg) => {
    expect(run("ADD", { ipam })).toMatchObject({ code: 7, msg });
  });

  test("with both families off names the keys, and still gives what is asked for by name", () => {
    const ipam = { assign_ipv4: "false" };
    expect(run("ADD", { ipam })).toMatchObject({
      code: 7,
      msg: 'cannot assign an address: "ipam.assign_ipv4" is false and "ipam.assign_ipv6" is not true; set one of them to true',
    });
    put("IPPool", "four", { cidr: "10.7.0.0/24" });
    expect(add({ ipam, args: "IP=10.7.0.9" }).ips).toEqual(["10.7.0.9/32"]);
  });

  test.each([
    [{ datastore_type: "etcd" }, 'cannot use key "datastore_type" with value "etcd"'],
    [{ Kubernetes: { kubeconfig: "/x" } }, 'cannot use key "kubernetes.kubeconfig"'],
  ])("refuses %j with code 2", (document, msg) => {
    expect(run("ADD", { document })).toMatchObject({ code: 2, msg: expect.stringContaining(msg) });
  });
});

describe("calico-ipam: a second interface of one container", () => {
  test("has its own address, and DEL of one leaves the other", () => {
    const first = add().ips;
    const second = add({ ifname: "net1" }).ips;
    expect(second).not.toEqual(first);
    run("DEL", {});
    expect(add({ ifname: "net1" }).ips).toEqual(second);
    run("DEL", { ifname: "net1" });
    expect(machine.files.list("/run/tortie/ipam/handles")).toEqual([]);
  });

  test("leaves no pool of one family behind when the pool of the other is full", () => {
    put("IPPool", "four", { cidr: "10.7.0.0/32", blockSize: 32 });
    add({ container: "first" });
    const ipam = { assign_ipv6: "true" };
    expect(run("ADD", { ipam })).toMatchObject({ msg: expect.stringContaining("No IPs available") });
    expect(machine.files.list("/var/lib/tortie/ippools")).toEqual(["four.json"]);
  });
});

describe("calico-ipam DEL", () => {
  test("is success when there is nothing, and creates nothing but the lock", () => {
    expect(run("DEL", {})).toBeUndefined();
    expect(machine.files.print()).not.toContain("/run/tortie/ipam/");
  });

  test("in a cluster needs neither the agent nor the file that it writes", () => {
    const document = { datastore_type: "kubernetes", nodename: undefined };
    expect(run("ADD", { document })).toMatchObject({ code: 11 });
    expect(run("DEL", { document })).toBeUndefined();
    expect(machine.files.list("/var/lib/tortie/spool")).toEqual(["k8s-pod-network:3f2a:eth0:release.json"]);
  });

  test("needs no valid configuration", () => {
    add();
    expect(run("DEL", { document: { ipam: "broken", datastore_type: "etcdv3" } })).toBeUndefined();
    expect(machine.files.list("/run/tortie/ipam/handles")).toEqual([]);
  });

  test("releases what Calico 2 left under <namespace>.<pod>, but not another network's container of that name", () => {
    add({ network: "default", container: "web" });
    run("DEL", { args: "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web" });
    expect(machine.files.list("/run/tortie/ipam/handles")).toEqual(["default.web.json"]);
    const [name = ""] = machine.files.list("/run/tortie/ipam/blocks");
    const path = `/run/tortie/ipam/blocks/${name}`;
    machine.files.replace(path, machine.files.read(path).replace('"interface":"eth0",', ""), 0o644);
    run("DEL", { args: "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web" });
    expect(machine.files.list("/run/tortie/ipam/handles")).toEqual([]);
  });
});

describe("calico-ipam CHECK", () => {
  test("accepts what ADD gave, narrowed by the main plugin too", () => {
    const { ips } = add();
    const narrowed = ips.map((address) => ({ address: address.replace(/\/26$/, "/32") }));
    expect(run("CHECK", { document: { prevResult: { cniVersion: "1.1.0", ips: narrowed } } })).toBeUndefined();
  });

  test("names every address that differs", () => {
    const [ip = ""] = add().ips;
    const prevResult = { cniVersion: "1.1.0", ips: [{ address: "10.1.1.1/32" }] };
    expect(run("CHECK", { document: { prevResult } })).toMatchObject({
      code: 101,
      msg:
        'cannot confirm the addresses of handle "k8s-pod-network.3f2a": 10.1.1.1 of prevResult is not assigned to it; ' +
        `it holds ${ip.replace("/26", "")}, which is not in prevResult`,
    });
  });
});

describe("calico-ipam GC", () => {
  test("releases what belongs to no valid attachment of the network", () => {
    for (const container of ["live", "gone"]) add({ container });
    add({ container: "live", ifname: "net1" });
    add({ container: "gone", network: "other" });
    const valid = [{ containerID: "live", ifname: "eth0" }];
    expect(run("GC", { document: { "cni.dev/valid-attachments": valid } })).toBeUndefined();
    expect([...machine.files.list("/run/tortie/ipam/handles")].sort()).toEqual([
      "k8s-pod-network.live.json",
      "other.gone.json",
    ]);
  });

  test("removes unfinished files of killed writers, which are never read", () => {
    const { ips } = add();
    const leftovers = ["/run/tortie/ipam/blocks", "/run/tortie/ipam/handles", "/var/lib/tortie/ippools"].map(
      (directory) => `${directory}/.tmp-0123456789abcdef`,
    );
    for (const path of leftovers) machine.files.create(path, '{"torn', 0o600);
    expect(add().ips).toEqual(ips);
    const valid = [{ containerID: "3f2a", ifname: "eth0" }];
    expect(run("GC", { document: { "cni.dev/valid-attachments": valid } })).toBeUndefined();
    for (const path of leftovers) expect(machine.files.stat(path), path).toBeUndefined();
    expect(add().ips).toEqual(ips);
  });
});

describe("calico-ipam STATUS", () => {
  test("is success on a node that never had a pod", () => {
    expect(run("STATUS", {})).toBeUndefined();
    expect(machine.files.print()).not.toContain("/var/lib/tortie");
    expect(machine.files.print()).not.toContain("/.tmp-");
  });

  test("has code 50 where the first pool cannot be written", () => {
    expect(run("STATUS", { readOnly: "/var/lib" })).toMatchObject({
      code: 50,
      msg: expect.stringMatching(
        /^cannot create IPPool objects in "\/var\/lib\/tortie\/ippools": .*Read-only file system$/,
      ),
    });
    add();
    expect(run("STATUS", { readOnly: "/var/lib" })).toBeUndefined();
  });

  test("answers 50 when the addresses are used up, with the pools", () => {
    const ipam = { ipv4_pools: ["10.7.0.0/26"] };
    for (let i = 0; i < 64; i++) add({ container: `c${i}`, ipam });
    expect(run("STATUS", { ipam })).toMatchObject({
      code: 50,
      msg: "cannot assign IPv4 addresses: No IPs available in pools: [10.7.0.0/26]",
    });
    run("DEL", { container: "c5", ipam });
    expect(run("STATUS", { ipam })).toBeUndefined();
  });
});

interface Call {
  readonly container?: string;
  readonly ifname?: string;
  readonly network?: string;
  readonly args?: string;
  readonly ipam?: object;
  readonly document?: object;
  /** The reader of stdout has exited. */
  readonly brokenPipe?: boolean;
  /** Nothing can be written below this directory. */
  readonly readOnly?: string;
}

interface Failure {
  readonly code: number;
  readonly msg: string;
}

function add(call: Call = {}): { readonly ips: readonly string[] } {
  const answer = run("ADD", call) as { readonly ips?: readonly { readonly address: string }[] } & Partial<Failure>;
  expect(answer.msg).toBeUndefined();
  return { ips: (answer.ips ?? []).map(({ address }) => address) };
}

/** One execution; the output on stdout, if any. */
function run(command: string, call: Call): unknown {
  const {
    container = "3f2a",
    ifname = "eth0",
    network = "k8s-pod-network",
    args = "",
    ipam = {},
    document = {},
  } = call;
  const sys = new FakeSys({
    machine,
    args: ["/opt/cni/bin/calico-ipam"],
    environment: {
      CNI_COMMAND: command,
      CNI_PATH: "/opt/cni/bin",
      ...(/GC|STATUS/.test(command)
        ? {}
        : { CNI_CONTAINERID: container, CNI_IFNAME: ifname, CNI_NETNS: netns, CNI_ARGS: args }),
    },
    stdin: JSON.stringify({
      cniVersion: "1.1.0",
      name: network,
      type: "calico",
      ipam: { type: "calico-ipam", ...ipam },
      ...document,
    }),
  });
  const { readOnly } = call;
  if (readOnly !== undefined) {
    const replace = sys.replaceFile.bind(sys);
    sys.replaceFile = (path, ...rest) => {
      if (path.startsWith(readOnly))
        throw Object.assign(new Error(`open ${path}: Read-only file system`), { code: "EROFS" });
      replace(path, ...rest);
    };
  }
  if (call.brokenPipe === true) {
    sys.write = () => {
      throw Object.assign(new Error("write stdout: Broken pipe"), { code: "EPIPE" });
    };
  }
  const status = exitCodeOf(calicoIpam, sys);
  if (call.brokenPipe === true) return undefined;
  const answer: unknown = sys.stdout === "" ? undefined : JSON.parse(sys.stdout);
  expect(status !== 0).toBe((answer as Partial<Failure> | undefined)?.code !== undefined);
  return answer;
}

function file(path: string): unknown {
  return JSON.parse(machine.files.read(path));
}

function put(kind: string, name: string, spec: unknown): void {
  machine.files.makeDirs("/var/lib/tortie/ippools", 0o755);
  const text = JSON.stringify({ apiVersion: "projectcalico.org/v3", kind, metadata: { name }, spec });
  machine.files.create(`/var/lib/tortie/ippools/${name}.json`, text, 0o644);
}
