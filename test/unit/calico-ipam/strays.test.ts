/** Blocks that belong to the node's former name. */
import { beforeEach, expect, test } from "vitest";
import { IpamWorld } from "./world.ts";

let world: IpamWorld;

beforeEach(() => {
  world = new IpamWorld();
  world.pool("p", { cidr: "10.7.0.0/29", blockSize: 30 });
});

const old = { hostname: "old-name" };

function strict(): void {
  const object = {
    apiVersion: "projectcalico.org/v3",
    kind: "IPAMConfig",
    metadata: { name: "default" },
    spec: { strictAffinity: true },
  };
  world.write("/var/lib/tortie/ipamconfigs/default.json", JSON.stringify(object));
}

/** The existing affinities, without the block. */
function owners(): readonly string[] {
  return world.machine.files.list("/run/tortie/ipam/affinities").map((name) => name.replace(/-10-7.*/, ""));
}

/** Assigns an address of each block, and leaves both empty. */
function useBoth(): void {
  for (let i = 0; i < 8; i++) world.add({ ...old, container: `c${i}` });
  for (let i = 0; i < 8; i++) world.run("DEL", { ...old, container: `c${i}` });
  expect(owners()).toEqual(["old-name", "old-name"]);
}

test("calico-ipam ADD with strict affinity and no free address releases blocks of a former node name, and STATUS counts them", () => {
  useBoth();
  strict();
  expect(world.run("STATUS")).toEqual({});
  expect(world.add()).toHaveLength(1);
  expect(owners()).toEqual(["node-1"]);
});

test("calico-ipam ADD releases a block of a former node name for a requested address", () => {
  useBoth();
  strict();
  expect(world.add({ args: "IP=10.7.0.6" })).toEqual(["10.7.0.6"]);
});

test("calico-ipam keeps blocks of a former node name while one of their addresses is in use", () => {
  useBoth();
  const kept = ["a", "b", "c", "d", "e"].map((container) => world.add({ ...old, container }));
  strict();
  expect(world.run("STATUS")).toMatchObject({ code: 50 });
  expect(world.run("ADD")).toMatchObject({ code: 102 });
  expect(owners()).toEqual(["old-name", "old-name"]);
  expect(["a", "b", "c", "d", "e"].map((container) => world.add({ ...old, container }))).toEqual(kept);
});

test("calico-ipam GC releases empty blocks of a former node name", () => {
  world.add({ ...old, container: "a" });
  const document = { "cni.dev/valid-attachments": [{ containerID: "a", ifname: "eth0" }] };
  world.run("GC", { document });
  expect(owners()).toEqual(["old-name"]);
  world.run("GC", { ...old, document: { "cni.dev/valid-attachments": [] } });
  expect(owners()).toEqual(["old-name"]);
  world.run("GC", { document: { "cni.dev/valid-attachments": [] } });
  expect(owners()).toEqual([]);
});

test("calico-ipam GC releases addresses even if the node's name is invalid", () => {
  world.add({ ...old, container: "a" });
  const document = { nodename: "a b", "cni.dev/valid-attachments": [] };
  expect(world.run("GC", { document })).toEqual({});
  expect(world.machine.files.list("/run/tortie/ipam/handles")).toEqual([]);
  expect(world.log).toContain("cannot determine the node's name");
});
