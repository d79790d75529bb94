/** From the cluster's objects to BIRD's configuration, with a stand-in for BIRD that accepts everything and runs. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Bgp, beginBgp } from "../../../../src/agent/bgp/bgp.ts";
import { Health } from "../../../../src/agent/health.ts";
import { Metrics } from "../../../../src/agent/metrics.ts";
import type { Kind, StoredObject } from "../../../../src/store/object.ts";
import { create, driveAsync, read, update } from "../../../../src/store/transaction.ts";
import { type MemoryDatastore, memoryDatastore } from "../memory-datastore.ts";

const sessions = `Mesh_10_0_0_2 BGP        ---        up     01:02:09.001  Established
  BGP state:          Established
    Neighbor address: 10.0.0.2
`;

describe("beginBgp", () => {
  let directory: string;
  let bird: Server;
  let commands: string[];
  let datastore: MemoryDatastore;
  let abort: AbortController;
  let bgp: Bgp;
  let table: string;
  const warnings: string[] = [];
  const health = new Health();
  const metrics = new Metrics();

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "tortie-bgp-"));
    mkdirSync(join(directory, "run"));
    writeFileSync(join(directory, "bird"), "#!/bin/sh\nexit 0\n");
    chmodSync(join(directory, "bird"), 0o755);
    commands = [];
    table = sessions;
    bird = createServer((socket) => {
      socket.write("0001 BIRD ready\n");
      socket.on("data", (data) => {
        const command = data.toString().trim();
        commands.push(command);
        const reply = command.startsWith("show protocols") ? table.trimEnd().split("\n") : ["done"];
        socket.write(`1002-${reply.join("\n ")}\n0000 \n`);
      });
      socket.on("error", () => undefined);
    });
    await new Promise<void>((resolve) => bird.listen(join(directory, "run/bird.ctl"), resolve));
    datastore = memoryDatastore();
    abort = new AbortController();
    warnings.length = 0;
  });

  afterEach(async () => {
    abort.abort();
    await bgp.close();
    await new Promise((resolve) => bird.close(resolve));
    rmSync(directory, { recursive: true });
  });

  function begin(): void {
    const role = { program: join(directory, "bird"), directory: join(directory, "run"), secretsDirectory: directory };
    const log = { info: () => undefined, warn: ({ error }: { error?: unknown }) => void warnings.push(String(error)) };
    bgp = beginBgp(
      { ...role, routerId: undefined },
      { node: "a", datastore, health, metrics, log: log as never, signal: abort.signal },
    );
  }

  const put = (kind: Kind, name: string, spec: object, more: object = {}) =>
    driveAsync(
      create({ apiVersion: "projectcalico.org/v3", kind, metadata: { name }, spec, ...more } as StoredObject),
      datastore.store,
    );
  const config = () => readFileSync(join(directory, "run/bird.conf"), "utf8");

  async function cluster(): Promise<void> {
    await put("Node", "a", { bgp: { ipv4Address: "10.0.0.1/24", asNumber: "64999" } });
    await put("Node", "b", { bgp: { ipv4Address: "10.0.0.2/24", asNumber: 64_999 } });
    await put("IPPool", "plain", { cidr: "192.168.0.0/16", blockSize: 26 });
    await put("IPPool", "tunnelled", { cidr: "10.77.0.0/16", vxlanMode: "CrossSubnet", disableBGPExport: true });
    const affinity = { node: "a", deleted: "false", type: "host" };
    await put("BlockAffinity", "a-192-168-1-0-26", { ...affinity, cidr: "192.168.1.0/26", state: "confirmed" });
    await put("BlockAffinity", "a-192-168-2-0-26", { ...affinity, cidr: "192.168.2.0/26", state: "pendingDeletion" });
    await put("BlockAffinity", "b-192-168-3-0-26", {
      ...affinity,
      node: "b",
      cidr: "192.168.3.0/26",
      state: "confirmed",
    });
  }

  it("writes the configuration that the objects mean, and tells BIRD", async () => {
    await cluster();
    begin();
    expect(health.reasons()).toContain("bgp: BIRD is not configured yet");
    await vi.waitFor(() => expect(commands).toContain("configure"), 5000);
    expect(config()).toContain("protocol bgp Mesh_10_0_0_2 {\n  local 10.0.0.1 as 64999;");
    expect(config()).toContain("route 192.168.1.0/26 blackhole;");
    expect(config()).not.toMatch(/192\.168\.[23]\./);
    expect(config()).toContain("if net ~ 10.77.0.0/16 then reject;");
    await vi.waitFor(() => expect(health.reasons()).toEqual([]), 5000);
    expect(metrics.text()).toMatch(/tortie_bgp_sessions_established 1/);
  });

  it("follows changes, and says once what it cannot honour", async () => {
    await cluster();
    await put("BGPPeer", "bad", { peerIP: "10.0.0.9", asNumber: "x" });
    begin();
    await vi.waitFor(() => expect(commands).toContain("configure"), 5000);
    await put("BGPConfiguration", "default", { nodeToNodeMeshEnabled: false });
    await vi.waitFor(() => expect(config()).not.toContain("Mesh_"), 5000);
    expect(warnings.filter((warning) => warning.startsWith('BGPPeer "bad" is ignored: asNumber'))).toHaveLength(1);
    const key = { kind: "BGPConfiguration", name: "default" } as const;
    const found = (await driveAsync(read(key), datastore.store)) as StoredObject;
    await driveAsync(update({ ...found, spec: { nodeToNodeMeshEnabled: true } }), datastore.store);
    await vi.waitFor(() => expect(config()).toContain("Mesh_10_0_0_2"), 5000);
  });

  it("is not ready while no session is established", async () => {
    table = sessions.replace(/Established/g, "Active");
    await cluster();
    begin();
    await vi.waitFor(
      () => expect(health.reasons()).toEqual(["bgp: BGP is established with none of 1 neighbours"]),
      5000,
    );
  });

  it("reads passwords from files, and has no session without", async () => {
    await cluster();
    mkdirSync(join(directory, "bgp"));
    writeFileSync(join(directory, "bgp/mesh"), "hunter 2\n");
    await put("BGPConfiguration", "default", { nodeMeshPassword: { secretKeyRef: { name: "bgp", key: "mesh" } } });
    await put("BGPPeer", "tor", {
      ...{ peerIP: "10.0.0.9", asNumber: 1 },
      password: { secretKeyRef: { name: "../etc", key: "x" } },
    });
    begin();
    await vi.waitFor(() => expect(config()).toContain('password "hunter 2";'), 5000);
    expect(config()).not.toContain("10.0.0.9");
  });
});
