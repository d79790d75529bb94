/** Nodes of one cluster, each a process; nodes and the datastore are killed while pods are added and deleted. */
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { build } from "esbuild";
import { expect } from "vitest";
import { releaseByHandle } from "../../../src/ipam/release/release.ts";
import type { AsyncDatastore } from "../../../src/store/async-datastore.ts";
import { owners } from "../../unit/ipam/walk.ts";
import { randomOf, seed } from "../random.ts";
import { root } from "../suite.ts";
import { clusterGround } from "./ground.ts";

export interface StormSite {
  /** The environment of the nodes' processes. */
  readonly environment: Readonly<Record<string, string>>;
  readonly datastore: AsyncDatastore;
  /** Kills the datastore and starts it again. */
  restart(): Promise<void>;
}

export interface StormPlan {
  readonly nodes: number;
  /** Kills of nodes; the datastore is killed once per five of them. */
  readonly kills: number;
}

const inFlightMs = 300;

/** What a runtime knows about a container. */
type State = "adding" | "deleting" | "deleted" | { readonly address: string };

/** Returns the number of pods that were added. */
export async function storm(
  { environment, datastore, restart }: StormSite,
  { nodes, kills }: StormPlan,
): Promise<number> {
  const ground = clusterGround(datastore);
  await ground.put("IPPool", "p", { cidr: "10.0.0.0/24", blockSize: 28 });
  const random = randomOf(seed);
  const program = await bundled();
  const containers = new Map<string, State>();
  const names = Array.from({ length: nodes }, (_, index) => `node-${index}`);
  const running = names.map((name) => start([program, name, "0"], environment, containers));
  try {
    for (let kill = 1; kill <= kills; kill++) {
      await sleep(300 + 700 * random.next());
      if (kill % 5 === 0) await restart();
      else {
        const victim = random.below(nodes);
        await end(running[victim] as ChildProcess);
        await deleteAll(datastore, containers, `${names[victim]}-`);
        running[victim] = start([program, names[victim] ?? "", String(kill)], environment, containers);
      }
    }
    await sleep(1000);
  } finally {
    await Promise.all(running.map(end));
    rmSync(program);
  }
  await sleep(inFlightMs);
  const held = await owners(ground);
  const alive = [...containers].flatMap(([name, state]) => (typeof state === "object" ? [{ name, ...state }] : []));
  expect(new Set(alive.map(({ address }) => address)).size).toBe(alive.length);
  for (const { name, address } of alive) expect([address, held.get(address)]).toEqual([address, `net.${name}`]);
  await deleteAll(datastore, containers, "");
  expect([...(await owners(ground))]).toEqual([]);
  expect(await ground.all("IPAMHandle")).toEqual([]);
  return containers.size;
}

/** Bundles the program into one file, which starts in a tenth of the time: most nodes do not live long. */
async function bundled(): Promise<string> {
  const outfile = join(root, `build/cluster-node-${process.pid}.mjs`);
  const require = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  await build({
    entryPoints: [join(root, "test/lib/programs/cluster-node.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    banner: { js: require },
    logLevel: "warning",
  });
  return outfile;
}

function start(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
  containers: Map<string, State>,
): ChildProcess {
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, argv, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
  createInterface({ input: child.stdout }).on("line", (line) => {
    const [word, container = "", address = ""] = line.split(" ");
    if (word === "add") containers.set(container, "adding");
    if (word === "added") containers.set(container, { address });
    if (word === "del") containers.set(container, "deleting");
    if (word === "deleted") containers.set(container, "deleted");
  });
  return child;
}

/** Deletes the pods of killed nodes as a runtime does, after a delay: requests that a node sent may still arrive. */
async function deleteAll(datastore: AsyncDatastore, containers: Map<string, State>, prefix: string): Promise<void> {
  await sleep(inFlightMs);
  for (const [name, state] of containers) {
    if (!name.startsWith(prefix) || state === "deleted") continue;
    await datastore.transact(() => releaseByHandle(`net.${name}`));
    containers.set(name, "deleted");
  }
}

/** Waits until all output of the process has been read. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null)
    throw new Error(`a node ended by itself: ${child.exitCode}`);
  const closed = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await closed;
}
