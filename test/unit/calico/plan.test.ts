import { describe, expect, test } from "vitest";
import { type EndpointSpec, planEndpoint } from "../../../plugins/calico/endpoint.ts";
import { identify, stableMac } from "../../../plugins/calico/identity.ts";
import { defaultRoutes, tableOf } from "../../../plugins/calico/routes.ts";
import { show } from "../../../src/plan/show.ts";

const spec: EndpointSpec = {
  hostInterface: "cali0216fa87f71",
  ifname: "eth0",
  mac: "12:55:60:79:9f:6d",
  mtu: 1450,
  queues: 1,
  addresses: ["192.168.9.128/32"],
  routes: defaultRoutes,
  allowIpForwarding: false,
  knowsGateways: true,
};

function commands(change: Partial<EndpointSpec>): readonly string[] {
  return show({ owner: "tortie:net1/c1/eth0", resources: planEndpoint({ ...spec, ...change }) });
}

describe("planEndpoint()", () => {
  test("makes an IPv4 pod by these commands", () => {
    expect(commands({})).toMatchSnapshot();
  });

  test("makes an IPv6 pod by these commands", () => {
    expect(commands({ addresses: ["fd00::5/128"] })).toMatchSnapshot();
  });

  test("makes a dual-stack pod of both, with one interface", () => {
    const both = commands({ addresses: ["192.168.9.128/32", "fd00::5/128"] });
    for (const line of [...commands({}), ...commands({ addresses: ["fd00::5/128"] })]) expect(both).toContain(line);
    expect(both.filter((line) => line.includes("type veth"))).toHaveLength(1);
  });

  test("makes a further interface by these commands: a table of its own, which a rule leads to", () => {
    const lines = commands({ ifname: "net1", addresses: ["192.168.9.128/32", "fd00::5/128"] });
    expect(lines.filter((line) => / (route|rule) add /.test(line))).toMatchSnapshot();
  });

  test("leads replies of a further interface by it also where the pod may ask for one destination only", () => {
    const routes = [
      { dst: "10.0.0.0/8", mtu: 1300 },
      { dst: "10.9.0.0/16", table: 77 },
    ];
    const lines = commands({ ifname: "net1", routes }).filter((line) => line.includes(`table ${tableOf("net1")}`));
    expect(lines.map((line) => line.replace(/^.*route add /, "").replace(/ table \d+/, ""))).toEqual([
      "10.0.0.0/8 via 169.254.1.1 dev net1 mtu 1300",
      "0.0.0.0/0 via 169.254.1.1 dev net1",
    ]);
  });

  test("sends an IPAM plugin's routes through the host, whatever gateway they name", () => {
    const lines = commands({
      routes: [{ dst: "10.0.0.0/8", gw: "10.0.0.1", mtu: 1300, priority: 5 }, { dst: "fd00::/8" }],
    });
    const routes = lines.filter((line) => line.includes("via")).map((line) => line.replace(/ \|\| .*/, ""));
    expect(routes.map((line) => line.replace(/^.* add /, ""))).toEqual([
      "10.0.0.0/8 via 169.254.1.1 dev eth0 metric 5 mtu 1300",
    ]);
  });
});

describe("identify()", () => {
  const attachment = { network: "net1", containerId: "c1", ifname: "eth0" };

  test("gives a pod's eth0 Calico's name", () => {
    const { hostInterface } = identify(attachment, { K8S_POD_NAMESPACE: "default", K8S_POD_NAME: "nginx" });
    // sha1("default.nginx")
    expect(hostInterface).toBe("calic440f455693");
  });

  test("needs both the namespace and the name for a pod", () => {
    expect(identify(attachment, { K8S_POD_NAME: "nginx" }).pod).toBeUndefined();
    expect(identify(attachment, { K8S_POD_NAMESPACE: "", K8S_POD_NAME: "nginx" }).pod).toBeUndefined();
  });

  test("gives two containers whose IDs begin alike, and two interfaces of one pod, different names", () => {
    const args = { K8S_POD_NAMESPACE: "default", K8S_POD_NAME: "nginx" };
    const names = [
      identify({ ...attachment, containerId: "cnitool-0123456789a" }, {}),
      identify({ ...attachment, containerId: "cnitool-0123456789b" }, {}),
      identify(attachment, args),
      identify({ ...attachment, ifname: "net1" }, args),
    ].map(({ hostInterface }) => hostInterface);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("stableMac()", () => {
  test("is local, unicast and the same each time", () => {
    const mac = stableMac("calic440f455693");
    expect(mac).toBe("32:c4:40:f4:55:69");
    expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2);
    expect(stableMac("calic440f455694")).not.toBe(mac);
  });
});

describe("tableOf()", () => {
  test("gives the usual names tables of their own, none of which is the kernel's or a small number", () => {
    const names = ["eth", "net", "ens", "veth", "macvlan"].flatMap((name) =>
      Array.from({ length: 2_000 }, (_, index) => `${name}${index}`),
    );
    const tables = names.map(tableOf);
    expect(new Set(tables).size).toBe(names.length);
    expect(Math.min(...tables)).toBeGreaterThanOrEqual(10_000);
    expect(Math.max(...tables)).toBeLessThan(2 ** 32);
  });
});
