import { describe, expect, test } from "vitest";
import { parseCommandLine } from "../../../src/agent/command-line.ts";
import { InvalidSettings, readAgentSettings } from "../../../src/agent/settings/read.ts";
import type { Environment } from "../../../src/store/cluster/settings.ts";

const etcd = { ETCD_ENDPOINTS: "http://127.0.0.1:2379" };

function faultsOf(environment: Environment): readonly string[] {
  try {
    readAgentSettings(environment);
  } catch (error) {
    if (error instanceof InvalidSettings) return error.faults;
    throw error;
  }
  return [];
}

describe("readAgentSettings()", () => {
  test("has Calico's defaults", () => {
    const { settings, unused } = readAgentSettings(etcd);
    expect(settings).toMatchObject({
      cluster: { type: "etcdv3", endpoints: ["http://127.0.0.1:2379"] },
      nodename: undefined,
      nodenameFile: "/var/lib/calico/nodename",
      addresses: {
        4: { wanted: "unset", method: { kind: "first-found" } },
        6: { wanted: "unset", method: { kind: "first-found" } },
      },
      recordsAddresses: true,
      network: undefined,
      checksAddresses: true,
      waitsForDatastore: false,
      health: undefined,
      metrics: undefined,
      logLevel: "info",
    });
    expect(settings.pools).toEqual([
      { family: 4, cidr: undefined, spec: expect.objectContaining({ blockSize: 26, natOutgoing: true }) },
      { family: 6, cidr: undefined, spec: expect.objectContaining({ blockSize: 122, natOutgoing: false }) },
    ]);
    expect(unused).toEqual([]);
  });

  test("reads what Calico's manifests say", () => {
    const { settings } = readAgentSettings({
      ...{ DATASTORE_TYPE: "kubernetes", WAIT_FOR_DATASTORE: "true", NODENAME: "n1", CLUSTER_TYPE: "k8s,bgp" },
      ...{ IP: "autodetect", IP_AUTODETECTION_METHOD: "interface=eth.*", IP6: "none", FELIX_IPV6SUPPORT: "false" },
      ...{ CALICO_IPV4POOL_IPIP: "Always", CALICO_IPV4POOL_VXLAN: "Never", CALICO_IPV6POOL_VXLAN: "Never" },
      ...{
        CALICO_IPV4POOL_CIDR: "10.244.0.0/16",
        CALICO_IPV4POOL_BLOCK_SIZE: "24",
        CALICO_DISABLE_FILE_LOGGING: "true",
      },
      ...{ FELIX_HEALTHENABLED: "true", FELIX_LOGSEVERITYSCREEN: "Warning", KUBECONFIG: "" },
    });
    expect(settings).toMatchObject({
      cluster: { type: "kubernetes", kubeconfig: undefined },
      nodename: "n1",
      waitsForDatastore: true,
      addresses: { 4: { wanted: "autodetect", method: { kind: "interface" } }, 6: { wanted: "none" } },
      health: { host: "localhost", port: 9099 },
      logLevel: "warn",
    });
    expect(settings.pools).toEqual([
      {
        family: 4,
        cidr: "10.244.0.0/16",
        spec: expect.objectContaining({ ipipMode: "Always", vxlanMode: "Never", blockSize: 24, nodeSelector: "all()" }),
      },
    ]);
  });

  test("names everything that is wrong at once, with what is wanted", () => {
    const faults = faultsOf({
      ...etcd,
      ...{ IP: "fd00::1", IP6: "10.0.0.1", NODENAME: "N_1", FELIX_HEALTHPORT: "0", WAIT_FOR_DATASTORE: "maybe" },
      ...{
        IP_AUTODETECTION_METHOD: "guess",
        CALICO_IPV4POOL_NODE_SELECTOR: "all(",
        CALICO_IPV4POOL_CIDR: "10.0.0.1/8",
      },
      ...{ AS: "0", CALICO_MANAGE_CNI: "perhaps", DATASTORE_TYPE: "consul" },
    });
    const named = faults.map((fault) => /(?:use|honour) (\w+)=/.exec(fault)?.[1]);
    expect(named.sort()).toEqual([
      ...["AS", "CALICO_IPV4POOL_CIDR", "CALICO_IPV4POOL_NODE_SELECTOR", "CALICO_MANAGE_CNI", "DATASTORE_TYPE"],
      ...["FELIX_HEALTHPORT", "IP", "IP6", "IP_AUTODETECTION_METHOD", "NODENAME", "WAIT_FOR_DATASTORE"],
    ]);
    expect(faults).toContain('cannot use FELIX_HEALTHPORT="0": want a port from 1 to 65535');
  });

  test.each([
    [{ NO_DEFAULT_POOLS: "true", CALICO_IPV4POOL_CIDR: "10.0.0.0/16" }, "NO_DEFAULT_POOLS"],
    [{ CALICO_IPV4POOL_IPIP: "Always", CALICO_IPV4POOL_VXLAN: "CrossSubnet" }, "one encapsulation"],
    [{ CALICO_IPV4POOL_CIDR: "10.0.0.0/28", CALICO_IPV4POOL_BLOCK_SIZE: "26" }, "larger"],
    [{ CALICO_NETWORKING_BACKEND: "vlan" }, "vxlan, bird or none"],
    [{ FELIX_WIREGUARDENABLED: "true" }, "encrypts nothing"],
    [{ CALICO_MANAGE_CNI: "true" }, "only Kubernetes has service accounts"],
  ])("refuses %j", (environment, reason) => {
    expect(faultsOf({ ...etcd, ...environment })).toEqual([expect.stringContaining(reason)]);
  });

  test("a refused setting may say what the agent does anyway", () => {
    const environment = { ...etcd, CALICO_NETWORKING_BACKEND: "none", FELIX_WIREGUARDENABLED: "false", AS: "" };
    expect(readAgentSettings(environment)).toMatchObject({ settings: { recordsAddresses: false }, unused: [] });
  });

  test("makes routes only if it is told to be the node's networking", () => {
    const vxlan = { ...etcd, CALICO_NETWORKING_BACKEND: "vxlan", FELIX_VXLANMTU: "1400", FELIX_VXLANVNI: "7" };
    expect(readAgentSettings(vxlan)).toMatchObject({
      settings: {
        recordsAddresses: true,
        network: {
          settings: { vxlanMTU: 1400, vxlanVNI: 7, vxlanPort: undefined },
          ...{ usesBgp: false, hasIpv6: true, refreshMs: 90_000, program: "/usr/local/lib/tortie/tortie-net" },
        },
      },
      unused: [],
    });
    const bird = { ...etcd, CALICO_NETWORKING_BACKEND: "bird", FELIX_ROUTEREFRESHINTERVAL: "0" };
    expect(readAgentSettings(bird).settings.network).toMatchObject({ usesBgp: true, refreshMs: 0 });
    const many = { ...etcd, CALICO_NETWORKING_BACKEND: "vxlan", TORTIE_NODENAME_FROM_REQUEST: "true" };
    expect(faultsOf(many)).toEqual([expect.stringContaining("routes are those of one node")]);
  });

  test("a small pool has blocks as large as itself", () => {
    const { settings } = readAgentSettings({ ...etcd, CALICO_IPV4POOL_CIDR: "10.0.0.0/28" });
    expect(settings.pools[0]?.spec).toMatchObject({ blockSize: 28 });
  });

  test("names what is not used, and no variable of a service", () => {
    const { unused } = readAgentSettings({
      ...{ CALICO_ETCD_ENDPOINTS: "http://127.0.0.1:2379", PATH: "/bin" },
      ...{ CALICO_IPV4POL_CIDR: "10.0.0.0/16", FELIX_BPFLOGLEVEL: "off" },
      ...{ CALICO_TYPHA_PORT: "tcp://10.0.0.1:5473", CALICO_TYPHA_PORT_5473_TCP_ADDR: "10.0.0.1" },
      ...{ CALICO_TYPHA_SERVICE_HOST: "10.0.0.1", CALICO_TYPHA_SERVICE_PORT_CALICO_TYPHA: "5473" },
    });
    expect(unused).toEqual([
      expect.stringMatching(/^CALICO_IPV4POL_CIDR is not used: it is not known/),
      expect.stringMatching(/^FELIX_BPFLOGLEVEL is not used: this agent does nothing that it could set/),
    ]);
  });
});

describe("parseCommandLine()", () => {
  const parse = (...argv: readonly string[]) => parseCommandLine(argv, { NODENAME: "n1", IP: "none" }, "1.2.3");

  test("an option outranks its variable", async () => {
    expect(await parse("--nodename", "n2", "--ip-autodetection-method=cidr=10.0.0.0/8")).toEqual({
      environment: { NODENAME: "n2", IP: "none", IP_AUTODETECTION_METHOD: "cidr=10.0.0.0/8" },
    });
  });

  test("--help lists the options, and none that is a secret", async () => {
    const line = (await parse("--help")) as { readonly text: string };
    expect(line.text).toContain("--etcd-endpoints");
    expect(line.text).not.toContain("password ");
    expect(line.text).not.toContain("--k8s-api-token");
  });

  test("--version", async () => expect(await parse("--version")).toEqual({ text: "1.2.3\n" }));

  test.each([["--nonsense"], ["--nodename"]])("refuses %s", async (...argv) => {
    await expect(parse(...argv)).rejects.toThrow("tortie-node --help");
  });

  test("refuses words that are no option", async () => {
    await expect(parse("start")).rejects.toThrow("start");
  });
});
