/** An administrator's pool that is part of a network of the node: the node still reaches the other hosts there. */
import { describe, expect, test } from "vitest";
import { interfaceOf } from "../../../src/dataplane/node/route-lookup.ts";
import { FakeNode } from "../../lib/fake/node.ts";
import { FakeSys } from "../../lib/fake/sys.ts";

function nodeOn(address: string, cidr: string, blockSize: number): FakeNode {
  const node = new FakeNode();
  const { kernel, files } = node.machine;
  const uplink = kernel.host.addLink({ name: "eth9", kind: "device", mac: kernel.randomMac(), mtu: 1500 });
  kernel.host.raise(uplink);
  kernel.host.addAddress(uplink, address);
  files.makeDirs("/var/lib/tortie/ippools", 0o700);
  const pool = {
    apiVersion: "projectcalico.org/v3",
    kind: "IPPool",
    metadata: { name: "lan" },
    spec: { cidr, blockSize },
  };
  files.create("/var/lib/tortie/ippools/lan.json", JSON.stringify(pool), 0o600);
  return node;
}

describe.each([
  ["192.168.1.10/24", "192.168.1.128/26", 26, "192.168.1.140"],
  ["192.168.1.10/24", "192.168.1.0/24", 26, "192.168.1.77"],
  ["192.168.1.10/26", "192.168.1.0/26", 26, "192.168.1.60"],
  ["fd00:1::10/64", "fd00:1::100/122", 122, "fd00:1::13f"],
])("calico: a node with %s and the pool %s", (address, cidr, blockSize, neighbour) => {
  const ipam = cidr.includes(":")
    ? { type: "calico-ipam", assign_ipv4: "false", assign_ipv6: "true" }
    : { type: "calico-ipam" };

  test(`reaches its neighbour ${neighbour} while a pod is on it, and after that`, () => {
    const node = nodeOn(address, cidr, blockSize);
    const wayTo = () => interfaceOf(neighbour, new FakeSys({ machine: node.machine }));
    expect(wayTo()).toBe("eth9");
    node.sandbox("c1");
    expect(node.run("ADD", { conf: { ipam } }).status).toBe(0);
    expect(wayTo()).toBe("eth9");
    expect(node.run("DEL").status).toBe(0);
    expect(wayTo()).toBe("eth9");
  });
});
