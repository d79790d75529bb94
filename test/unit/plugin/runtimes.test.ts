/** The arguments of each runtime (CNI_ARGS, capabilities) and their effects, on the model of the kernel. */
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { hostInterfaceName } from "../../../plugins/calico/host-interface.ts";
import { FakeNode } from "../../lib/fake/node.ts";
import { howMany } from "../../lib/how-many.ts";
import { cnitool, containerd, crio, multus, nerdctl, podman, type Sent } from "../../lib/runtimes/runtimes.ts";

const attachment = { network: "net1", containerId: "c1", ifname: "eth0" };
const podName = hostInterfaceName(attachment, { namespace: "default", name: "web-0" });
const containerName = hostInterfaceName(attachment, undefined);

const requests = {
  namespace: "default",
  name: "web-0",
  containerId: "c1",
  ports: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
  ingressRate: 8e6,
  egressRate: 16e6,
  ip: "192.168.7.9",
  mac: "0a:00:00:00:00:07",
};

let node: FakeNode;

beforeEach(() => {
  node = new FakeNode();
  node.sandbox("c1");
});

/** ADD of calico, bandwidth and portmap, each with the capabilities that it declares. */
function addChain({ args, capabilities }: Sent) {
  const declared = {
    calico: ["mac", "ips", "dns", "io.kubernetes.cri.pod-annotations"],
    bandwidth: ["bandwidth"],
    portmap: ["portMappings"],
  };
  let prevResult: object | undefined;
  for (const plugin of ["calico", "bandwidth", "portmap"] as const) {
    const supplied = Object.entries(capabilities).filter(([key]) => declared[plugin].includes(key));
    const runtimeConfig = supplied.length > 0 ? { runtimeConfig: Object.fromEntries(supplied) } : {};
    const { json } = node.run("ADD", { plugin, args: textOf(args), conf: { prevResult, ...runtimeConfig } });
    expect(json.msg, plugin).toBeUndefined();
    prevResult = json;
  }
  // biome-ignore lint/suspicious/noExplicitAny: a result of any shape, which the tests look into.
  return { result: prevResult as any, state: node.state() };
}

function textOf(args: Sent["args"]): string {
  return args.map(([key, value]) => `${key}=${value}`).join(";");
}

const limited = (rate: number) => expect.stringContaining(`qdisc tbf rate ${rate / 8} `);
const mapped = expect.stringMatching(/tcp \. 8080 .* : [\d.]+ \. 80\n/);

describe.each<[string, (pod: typeof requests) => Sent, object]>([
  ["containerd", containerd, { name: podName, ports: true, limits: true, ip: false, mac: false, dns: ["10.96.0.10"] }],
  ["CRI-O", crio, { name: podName, ports: false, limits: true, ip: true, mac: true }],
  ["podman", podman, { name: containerName, ports: true, limits: false, ip: true, mac: true }],
  ["nerdctl", nerdctl, { name: containerName, ports: true, limits: false, ip: true, mac: true }],
  ["multus", multus, { name: podName, ports: true, limits: true, ip: true, mac: true }],
  ["cnitool", cnitool, { name: containerName, ports: true, limits: true, ip: true, mac: true }],
])("what %s sends", (_, sent, expected) => {
  const wanted = expected as {
    readonly name: string;
    readonly ports: boolean;
    readonly limits: boolean;
    readonly ip: boolean;
    readonly mac: boolean;
    readonly dns?: readonly string[];
  };

  test("is honoured: the pod's name, address, MAC address, dns, host port and limits", () => {
    const { result, state } = addChain(sent(requests));
    expect(result.interfaces[0].name).toBe(wanted.name);
    expect(result.ips[0].address === "192.168.7.9/32").toBe(wanted.ip);
    expect(result.interfaces[1].mac === requests.mac).toBe(wanted.mac);
    expect(result.dns?.nameservers).toEqual(wanted.dns);
    expect(state).toEqual(wanted.ports ? mapped : expect.not.stringContaining("8080"));
    expect(state).toEqual(wanted.limits ? limited(8e6) : expect.not.stringContaining("tbf"));
    expect(state).toEqual(wanted.limits ? limited(16e6) : expect.not.stringContaining("tbf"));
  });

  test("is honoured in any order of CNI_ARGS, with arguments that are unknown or malformed between them", () => {
    const { args, capabilities } = sent(requests);
    const { result } = addChain({ args, capabilities });
    fc.assert(
      fc.property(fc.shuffledSubarray([...args], { minLength: args.length }), fc.nat(args.length), (shuffled, at) => {
        node = new FakeNode();
        node.sandbox("c1");
        const odd = [...shuffled.slice(0, at), ["FOO", "1"], ["", ""], ["A", "B=C"], ...shuffled.slice(at)] as const;
        expect(addChain({ args: odd, capabilities }).result).toEqual(result);
      }),
      { numRuns: howMany(10) },
    );
  });
});

describe("CNI_ARGS of calico", () => {
  test.each(["FOO", "FOO;;=;=x", "A=B=C", "__proto__=x;constructor=y", ";", "IgnoreUnknown=0;FOO=1"])(
    "%j change nothing",
    (args) => {
      const plain = node.run("ADD").json;
      expect(node.run("ADD", { args }).json).toEqual(plain);
    },
  );

  test.each([
    ["MAC=nonsense", 7, 'cannot use MAC address "nonsense": not six octets in hexadecimal'],
    ["MAC=01:00:5e:00:00:01", 7, 'cannot use MAC address "01:00:5e:00:00:01": it is a multicast address'],
    ["MAC=00:00:00:00:00:00", 7, 'cannot use MAC address "00:00:00:00:00:00": it is the all-zero address'],
    ["IP=10.1.2.3.4", 7, 'cannot assign address "10.1.2.3.4": "IP" must contain IP addresses'],
  ])("%s is refused, and nothing is left", (args, code, msg) => {
    expect(node.run("ADD", { args }).json).toMatchObject({ code, msg });
    expect(node.state()).toBe(new FakeNode().state());
  });
});

/** The reference's bridge has the same precedence: CNI_ARGS, args.cni, runtimeConfig. */
describe("calico: a MAC address", () => {
  const [inArgs, inCni, inRuntime, ofPod] = [1, 2, 3, 4].map((n) => `0a:00:00:00:00:0${n}`);
  const annotations = { "io.kubernetes.cri.pod-annotations": { "cni.projectcalico.org/hwAddr": ofPod } };

  test.each([
    [
      "runtimeConfig before all",
      `MAC=${inArgs}`,
      { args: { cni: { mac: inCni } }, runtimeConfig: { mac: inRuntime } },
      inRuntime,
    ],
    ["args.cni before CNI_ARGS", `MAC=${inArgs}`, { args: { cni: { mac: inCni } }, runtimeConfig: { mac: "" } }, inCni],
    ["CNI_ARGS before the pod's annotation", `MAC=${inArgs}`, { runtimeConfig: annotations }, inArgs],
    ["the pod's annotation before our own", "", { runtimeConfig: annotations }, ofPod],
    ["any case of the keys, and hyphens", "", { RuntimeConfig: { Mac: "0A-00-00-00-00-0F" } }, "0a:00:00:00:00:0f"],
  ])("is that of %s", (_, args, conf, mac) => {
    expect(node.run("ADD", { args, conf }).json.interfaces[1].mac).toBe(mac);
  });

  test("of an annotation is not for a second interface", () => {
    const conf = { runtimeConfig: annotations };
    node.run("ADD", { conf });
    expect(node.run("ADD", { conf, ifname: "net1" }).json.interfaces[1].mac).not.toBe(ofPod);
  });
});

describe("calico: dns", () => {
  const configured = { nameservers: ["10.0.0.1"], domain: "example", search: ["a.example"] };
  test.each<[string, object, object | undefined]>([
    ["of the configuration", { dns: configured }, configured],
    [
      "of the runtime before it, key by key",
      { dns: configured, runtimeConfig: { dns: { servers: ["10.96.0.10"], searches: [], options: ["ndots:5"] } } },
      { ...configured, nameservers: ["10.96.0.10"], options: ["ndots:5"] },
    ],
    ["of a runtime that has none to tell", { runtimeConfig: { dns: { Servers: [], Searches: null } } }, undefined],
  ])("%s is in the result", (_, conf, dns) => {
    expect(node.run("ADD", { conf }).json.dns).toEqual(dns);
  });
});

describe("calico, calico-ipam: annotations of the pod", () => {
  const annotated = (annotations: object, conf: object = {}) => ({
    runtimeConfig: {
      "io.kubernetes.cri.pod-annotations": Object.fromEntries(
        Object.entries(annotations).map(([name, value]) => [`cni.projectcalico.org/${name}`, value]),
      ),
    },
    ...conf,
  });

  beforeEach(() => {
    const ipam = { type: "calico-ipam", ipv4_pools: ["10.7.0.0/24", "10.8.0.0/24"], ipv6_pools: ["fd77::/64"] };
    node.sandbox("first");
    node.run("ADD", { container: "first", conf: { ipam: { ...ipam, assign_ipv6: "true" } } });
  });

  test.each<[object, RegExp[]]>([
    [{ ipAddrs: '["10.8.0.9"]' }, [/^10\.8\.0\.9\/32$/]],
    [{ ipAddrs: '["fd77::9","10.8.0.9"]' }, [/^10\.8\.0\.9\/32$/, /^fd77::9\/128$/]],
    [{ ipv4pools: '["ippool-10-8-0-0-24"]' }, [/^10\.8\./]],
    [{ ipv4pools: '["10.8.0.0/24"]' }, [/^10\.8\./]],
    [{ ipFamilies: '["IPv6"]' }, [/^fd77:/]],
    [{ ipFamilies: '["IPv6","IPv4"]', ipv4pools: '["10.8.0.0/24"]' }, [/^10\.8\./, /^fd77:/]],
    [{ somethingElse: "x" }, [/^10\.7\./]],
    [{ ipAddrs: "" }, [/^10\.7\./]],
  ])("%j choose the addresses", (annotations, patterns) => {
    const addresses = node
      .run("ADD", { conf: annotated(annotations) })
      .json.ips.map((ip: { address: string }) => ip.address);
    expect(addresses).toEqual(patterns.map((pattern) => expect.stringMatching(pattern)));
  });

  test("go before the conflist's pools, for the pod's first interface alone", () => {
    const conf = annotated(
      { ipv4pools: '["10.8.0.0/24"]' },
      { ipam: { type: "calico-ipam", ipv4_pools: ["10.7.0.0/24"] } },
    );
    expect(node.run("ADD", { conf }).json.ips[0].address).toMatch(/^10\.8\./);
    expect(node.run("ADD", { conf, ifname: "net1" }).json.ips[0].address).toMatch(/^10\.7\./);
  });

  test("make no pools", () => {
    node = new FakeNode();
    node.sandbox("c1");
    expect(node.run("ADD", { conf: annotated({ ipv4pools: '["10.9.0.0/24"]' }) }).json).toMatchObject({
      code: 7,
      msg: expect.stringContaining('cannot use pool "10.9.0.0/24"'),
    });
  });

  test.each([
    [
      { ipAddrs: "10.8.0.9" },
      7,
      'annotation "cni.projectcalico.org/ipAddrs" with value "10.8.0.9": must be a JSON list',
    ],
    [{ ipAddrs: "[]" }, 7, "must be a JSON list of strings"],
    [{ ipAddrs: '["10.8.0.9","10.8.0.10"]' }, 7, "want one address of each family at most"],
    [{ ipAddrs: '["x"]' }, 7, 'cannot assign address "x"'],
    [{ ipFamilies: '["IPv5"]' }, 7, 'want "IPv4" or "IPv6"'],
    [{ ipv4pools: '["nowhere"]' }, 7, 'cannot use pool "nowhere"'],
    [{ hwAddr: "x" }, 7, 'cannot use MAC address "x"'],
    [{ ipAddrsNoIpam: '["10.8.0.9"]' }, 2, 'cannot use annotation "cni.projectcalico.org/ipAddrsNoIpam"'],
    [{ floatingIPs: '["10.8.0.9"]' }, 2, "this version cannot honour it"],
  ])("%j is refused, and nothing is left", (annotations, code, text) => {
    const before = node.state();
    expect(node.run("ADD", { conf: annotated(annotations) }).json).toMatchObject({
      code,
      msg: expect.stringContaining(text),
    });
    expect(node.state()).toBe(before);
  });
});

test("calico-ipam refuses ipRanges, because it has pools", () => {
  const conf = { runtimeConfig: { ipRanges: [[{ subnet: "10.1.0.0/16" }]] } };
  expect(node.run("ADD", { conf }).json).toMatchObject({
    code: 2,
    msg: expect.stringMatching(/"runtimeConfig.ipRanges" with value .*10\.1\.0\.0\/16.*ipv4_pools/),
  });
  expect(node.run("ADD", { conf: { runtimeConfig: { ipRanges: [] } } }).status).toBe(0);
});
