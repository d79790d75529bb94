import { beforeEach, describe, expect, test } from "vitest";
import { ensureTunnelAddress, type TunnelKind, tunnelKinds } from "../../../../src/agent/network/tunnel-address.ts";
import type { BlockSpec } from "../../../../src/ipam/model/block.ts";
import { driveAsync } from "../../../../src/store/transaction.ts";
import { type MemoryDatastore, memoryDatastore } from "../memory-datastore.ts";

const [vxlan4, vxlan6, ipip] = tunnelKinds as readonly [TunnelKind, TunnelKind, TunnelKind];
let datastore: MemoryDatastore;

beforeEach(() => {
  datastore = memoryDatastore();
  datastore.memory.put("IPPool", "p", { cidr: "10.0.0.0/24", blockSize: 26, vxlanMode: "Always" });
  datastore.memory.put("Node", "n1", { bgp: { ipv4Address: "192.0.2.1/24" } });
});

function ensure(kind: TunnelKind = vxlan4, node = "n1") {
  return driveAsync(ensureTunnelAddress(kind, { node, now: 1_700_000_000_000_000_000n }), datastore.store);
}

function nodeSpec(node = "n1") {
  return datastore.memory.all("Node").find(({ metadata }) => metadata.name === node)?.spec;
}

/** Allocated addresses, by handle. */
function held() {
  return datastore.memory.all<BlockSpec>("IPAMBlock").flatMap(({ spec }) =>
    spec.allocations.flatMap((index, ordinal) => {
      const attribute = spec.attributes[index ?? -1] as { readonly handle_id: string; readonly secondary: object };
      return index === null ? [] : [[attribute.handle_id, `${spec.cidr}#${ordinal}`, attribute.secondary]];
    }),
  );
}

describe("ensureTunnelAddress()", () => {
  test("assigns one under Calico's handle, and writes it to the Node with the MAC address", async () => {
    const address = await ensure();
    expect(address).toMatch(/^10\.0\.0\./);
    expect(held()).toEqual([
      ["vxlan-tunnel-addr-n1", expect.stringMatching(/#0$/), { node: "n1", type: "vxlanTunnelAddress" }],
    ]);
    // $ printf n1 | sha1sum
    expect(nodeSpec()).toEqual({
      bgp: { ipv4Address: "192.0.2.1/24" },
      ipv4VXLANTunnelAddr: address,
      vxlanTunnelMACAddr: "66:40:b3:ea:b6:3f",
    });
  });

  test("a second call changes nothing", async () => {
    const address = await ensure();
    const before = datastore.requests.length;
    expect(await ensure()).toBe(address);
    expect(datastore.requests.slice(before).filter((request) => !/^(read|list)/.test(request))).toEqual([]);
  });

  test("one that the Node names is kept, with its MAC address, and taken if nobody holds it", async () => {
    const named = { ipv4VXLANTunnelAddr: "10.0.0.77", vxlanTunnelMACAddr: "66:00:00:00:00:01" };
    datastore.memory.put("Node", "n1", named);
    expect(await ensure()).toBe("10.0.0.77");
    expect(nodeSpec()).toEqual(named);
    expect(held()).toEqual([["vxlan-tunnel-addr-n1", "10.0.0.64/26#13", expect.anything()]]);
  });

  test("one that another node holds is replaced", async () => {
    const first = await ensure();
    datastore.memory.put("Node", "n2", { ipv4VXLANTunnelAddr: first });
    const second = await ensure(vxlan4, "n2");
    expect(second).not.toBe(first);
    expect(nodeSpec("n2")).toMatchObject({ ipv4VXLANTunnelAddr: second });
    expect(held()).toHaveLength(2);
  });

  test("a killed agent's assignment is found again", async () => {
    const address = await ensure();
    datastore.memory.put("Node", "n1", {});
    expect(await ensure()).toBe(address);
    expect(held()).toHaveLength(1);
  });

  test("when its pool has gone it is released, and another assigned", async () => {
    await ensure();
    datastore.memory.put("IPPool", "p", { cidr: "10.1.0.0/24", blockSize: 26, vxlanMode: "CrossSubnet" });
    const address = await ensure();
    expect(address).toMatch(/^10\.1\.0\./);
    expect(held()).toEqual([["vxlan-tunnel-addr-n1", expect.stringMatching(/^10\.1\.0\./), expect.anything()]]);
  });

  test("when no pool uses the encapsulation any more, it is released, and the Node names none", async () => {
    await ensure();
    datastore.memory.put("IPPool", "p", { cidr: "10.0.0.0/24", blockSize: 26 });
    expect(await ensure()).toBeUndefined();
    expect(held()).toEqual([]);
    expect(nodeSpec()).not.toHaveProperty("ipv4VXLANTunnelAddr");
  });

  test("in a pool that was disabled it stays", async () => {
    const address = await ensure();
    datastore.memory.put("IPPool", "p", { cidr: "10.0.0.0/24", blockSize: 26, vxlanMode: "Always", disabled: true });
    expect(await ensure()).toBe(address);
  });

  test.each([{ disabled: true }, { allowedUses: ["Workload"] }, { nodeSelector: "rack == 'r9'" }])(
    "a pool with %j assigns none",
    async (more) => {
      datastore.memory.put("IPPool", "p", { cidr: "10.0.0.0/24", blockSize: 26, vxlanMode: "Always", ...more });
      await expect(ensure()).rejects.toMatchObject({ name: "NoAddressError" });
      expect(nodeSpec()).not.toHaveProperty("ipv4VXLANTunnelAddr");
    },
  );

  test("a pool for tunnels alone does", async () => {
    datastore.memory.put("IPPool", "p", {
      ...{ cidr: "10.0.0.0/24", blockSize: 26, vxlanMode: "Always" },
      ...{ allowedUses: ["Tunnel"], assignmentMode: "Manual", namespaceSelector: "team == 'x'" },
    });
    expect(await ensure()).toMatch(/^10\.0\.0\./);
  });

  test("IPIP and IPv6 have names of their own", async () => {
    datastore.memory.put("IPPool", "p", { cidr: "10.0.0.0/24", blockSize: 26, ipipMode: "Always" });
    datastore.memory.put("IPPool", "six", { cidr: "fd00::/120", blockSize: 122, vxlanMode: "Always" });
    expect(await ensure()).toBeUndefined();
    const four = await ensure(ipip);
    const six = await ensure(vxlan6);
    expect(nodeSpec()).toEqual({
      bgp: { ipv4Address: "192.0.2.1/24", ipv4IPIPTunnelAddr: four },
      ipv6VXLANTunnelAddr: six,
      vxlanTunnelMACAddrV6: expect.stringMatching(/^66:/),
    });
    expect(held().map(([handle, , secondary]) => [handle, secondary])).toEqual([
      ["ipip-tunnel-addr-n1", { node: "n1", type: "ipipTunnelAddress" }],
      ["vxlan-v6-tunnel-addr-n1", { node: "n1", type: "vxlanV6TunnelAddress" }],
    ]);
  });
});
