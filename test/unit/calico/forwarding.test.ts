import { beforeEach, describe, expect, test } from "vitest";
import type { FakeLink, FakeNetns } from "../../lib/fake/netns.ts";
import { FakeNode } from "../../lib/fake/node.ts";

const dual = { ipam: { type: "calico-ipam", assign_ipv6: "true" } };
const router = "fe80::1";

let node: FakeNode;
let host: FakeNetns;
let uplink: FakeLink;

beforeEach(() => {
  node = new FakeNode();
  host = node.machine.kernel.host;
  uplink = addUplink("uplink");
  for (const name of ["c1", "c2"]) node.sandbox(name);
});

function addUplink(name: string): FakeLink {
  const link = host.addLink({ name, kind: "device", mac: "02:00:00:00:99:01", mtu: 1500 });
  host.raise(link);
  return link;
}

function advertised(): readonly string[] {
  return host.routes
    .filter(({ protocol }) => protocol === "ra")
    .map(({ index }) => host.links.get(index ?? 0)?.name ?? "");
}

function setting(link: string, name: string): string | undefined {
  return host.sysctl.get(`ipv6/conf/${link}/${name}`);
}

function addPod(container: string, conf: object = dual): void {
  expect(node.run("ADD", { container, conf })).toMatchObject({ status: 0 });
}

describe("calico: router advertisements", () => {
  test("keep the node's default route when its first IPv6 pod comes, and the next, and after it", () => {
    host.advertise(uplink, router);
    addPod("c1");
    expect(advertised()).toEqual(["uplink"]);
    expect([setting("uplink", "accept_ra"), setting("all", "forwarding")]).toEqual(["2", "1"]);
    addPod("c2");
    addPod("c1");
    expect(advertised()).toEqual(["uplink"]);
  });

  test("are still listened to by an uplink that comes later", () => {
    addPod("c1");
    const later = addUplink("later");
    host.advertise(later, router);
    addPod("c2");
    expect(advertised()).toEqual(["later"]);
  });

  test.each(["0", "2"])("stay as they are on a link whose accept_ra is %s", (value) => {
    host.sysctl.write("ipv6/conf/uplink/accept_ra", value);
    addPod("c1");
    expect(setting("uplink", "accept_ra")).toBe(value);
  });

  test("are not listened to on the pods' own links, whatever the node's default says", () => {
    addPod("c1", {});
    const own = [...host.links.values()].find(({ name }) => name.startsWith("cali"))?.name ?? "";
    // Another ADD may run between the creation of the link and this setting.
    host.sysctl.write(`ipv6/conf/${own}/accept_ra`, "1");
    addPod("c2");
    expect(setting(own, "accept_ra")).toBe("1");
    expect(setting("all", "accept_ra")).toBe("1");
  });

  test("on a node that routes already are not asked for on a link that does not listen", () => {
    host.sysctl.write("ipv6/conf/all/forwarding", "1");
    addPod("c1");
    expect(setting("uplink", "accept_ra")).toBe("1");
  });

  test("keep the route of a link that an administrator excepted from routing, which goes on being no router's", () => {
    host.sysctl.write("ipv6/conf/all/forwarding", "1");
    host.sysctl.write("ipv6/conf/default/forwarding", "1");
    host.sysctl.write("ipv6/conf/uplink/forwarding", "0");
    host.advertise(uplink, router);
    addPod("c1");
    addPod("c2");
    expect(advertised()).toEqual(["uplink"]);
    expect([setting("uplink", "forwarding"), setting("uplink", "accept_ra")]).toEqual(["0", "1"]);
  });

  test("keep it too where new links are born as no router's", () => {
    host.sysctl.write("ipv6/conf/all/forwarding", "1");
    host.sysctl.write("ipv6/conf/uplink/forwarding", "0");
    host.sysctl.write("ipv6/conf/default/forwarding", "0");
    host.advertise(uplink, router);
    addPod("c1");
    expect(advertised()).toEqual(["uplink"]);
    expect(setting("uplink", "forwarding")).toBe("0");
  });

  test("are none of an IPv4 pod's business", () => {
    host.advertise(uplink, router);
    addPod("c1", {});
    expect(advertised()).toEqual(["uplink"]);
    expect([setting("uplink", "accept_ra"), setting("all", "forwarding")]).toEqual(["1", "0"]);
  });
});
