import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeLine, isEvent, type NetRequest, parseLine } from "../../../src/net-protocol/messages.ts";
import { BadRequest, parseRequest } from "../../../src/net-protocol/parse.ts";
import type { NodeResource, Scope } from "../../../src/plan/node-plan.ts";

const at = "host";
const link = "vxlan.calico";
/** One resource of each kind, with every field that a plan of the agent has. */
const resources: readonly NodeResource[] = [
  { kind: "sysctl", at, path: "net/ipv4/ip_forward", value: "1", ifDifferent: true },
  { kind: "nft-table", family: "ip", name: "tortie_vxlan", sets: [], chains: [] },
  { kind: "nft-elements", family: "ip", table: "tortie_vxlan", set: "nodes", elements: [{ key: ["10.9.9.9"] }] },
  {
    kind: "vxlan",
    at,
    name: link,
    vni: 4096,
    port: 4789,
    local: "172.31.250.1",
    device: "eth0",
    mac: "66:00:00:00:00:01",
    mtu: 1410,
  },
  { kind: "ipip", at, name: "tunl0", mtu: 1440 },
  { kind: "address", at, link, address: "192.168.230.62/32" },
  { kind: "neighbour", at, link, address: "192.168.99.254", mac: "66:00:00:00:00:03" },
  { kind: "fdb", at, link, mac: "66:00:00:00:00:03", destination: "10.9.9.9" },
  {
    kind: "route",
    at,
    link,
    destination: "192.168.99.192/26",
    gateway: "192.168.99.254",
    onlink: true,
    mtu: 1410,
    protocol: 80,
    scope: "global",
  },
  { kind: "blackhole", at, destination: "fd00::/122", protocol: 80 },
];
const scopes: readonly Scope[] = [
  { kind: "routes", protocol: 80, table: 254, family: 6 },
  { kind: "link", link },
  { kind: "device", name: "vxlan-v6.calico" },
  { kind: "elements", family: "ip6", table: "tortie_calico", set: "all_pools" },
  { kind: "table", family: "ip", name: "tortie_vxlan" },
];

describe("a request", () => {
  test.each<NetRequest>([
    { version: 1, plan: { resources, scopes } },
    { version: 1, id: 7, add: resources, remove: resources },
  ])("is read as it was written: %#", (request) => {
    const line = encodeLine(request);
    expect(line.indexOf("\n")).toBe(line.length - 1);
    expect(parseRequest(line)).toEqual(request);
  });

  test.each<[string, unknown]>([
    ["it is not a JSON object", []],
    ["it has version 2, wanted 1", { version: 2, plan: { resources, scopes } }],
    ["it has version undefined, wanted 1", {}],
    ["add is not a list", { version: 1 }],
    ["remove is not a list", { version: 1, add: [], remove: {} }],
    ["plan is not an object", { version: 1, plan: [] }],
    ["plan.resources is not a list", { version: 1, plan: { scopes } }],
    ['plan.scopes[0] has kind "all"', { version: 1, plan: { resources, scopes: [{ kind: "all" }] } }],
    ['plan.resources[0] has kind "toString"', { version: 1, plan: { resources: [{ kind: "toString" }], scopes } }],
    ["add[0] has kind undefined", { version: 1, add: [null], remove: [] }],
  ])("is refused with its reason: %s", (reason, document) => {
    expect(() => parseRequest(JSON.stringify(document))).toThrow(`cannot read the request: ${reason}`);
  });

  test("that is refused keeps its number, if that could be read", () => {
    const caught = (text: string) => {
      try {
        return parseRequest(text);
      } catch (error) {
        return error;
      }
    };
    expect(caught('{"version":1,"id":3}')).toMatchObject({ id: 3 });
    expect(caught('{"version":1,"id":"x"}')).toMatchObject({ id: undefined });
    expect(caught("{")).toBeInstanceOf(BadRequest);
  });

  test.each<[string, NodeResource["kind"], Record<string, unknown>]>([
    ["at", "vxlan", { at: "sandbox" }],
    ["name", "vxlan", { name: "../../x" }],
    ["name", "vxlan", { name: "sixteen-letters-" }],
    ["vni", "vxlan", { vni: 2 ** 24 }],
    ["port", "vxlan", { port: 65536 }],
    ["local", "vxlan", { local: "172.31.250.01" }],
    ["mac", "vxlan", { mac: "66:00:00:00:00:0A" }],
    ["mtu", "vxlan", { mtu: 1.5 }],
    ["checksumOffload", "vxlan", { checksumOffload: true }],
    ["destination", "route", { destination: "192.168.99.192" }],
    ["gateway", "route", { gateway: "FD00::1" }],
    ["scope", "route", { scope: "everywhere" }],
    ["onlink", "route", { onlink: 1 }],
    ["path", "sysctl", { path: "net/../../../etc/passwd" }],
    ["path", "sysctl", { path: "/etc/passwd" }],
    ["set", "nft-elements", { set: "a b" }],
  ])("with a wrong %s of a %s is refused", (field, kind, wrong) => {
    const resource = { ...resources.find((one) => one.kind === kind), ...wrong };
    const text = JSON.stringify({ version: 1, add: [resource], remove: [] });
    expect(() => parseRequest(text)).toThrow(`add[0].${field} is ${JSON.stringify(wrong[field])}`);
  });

  test("never fails but with BadRequest, whatever the text", () => {
    const some = fc.oneof(
      fc.json(),
      fc.string(),
      fc.constantFrom(...resources).map((one) => JSON.stringify(one)),
    );
    fc.assert(
      fc.property(some, fc.boolean(), (text, wrapped) => {
        try {
          parseRequest(wrapped ? `{"version":1,"add":[${text}],"remove":[]}` : text);
        } catch (error) {
          expect(error).toBeInstanceOf(BadRequest);
        }
      }),
    );
  });
});

test("a line is an answer or an event", () => {
  const answer = { version: 1, id: 1, applied: 0, removed: [], failures: [], tunnels: [] };
  expect(isEvent(parseLine(encodeLine(answer)))).toBe(false);
  expect(isEvent(parseLine(encodeLine({ event: "lost" })))).toBe(true);
});
