/**
 * A node of a cluster as a process that can be killed: it adds and deletes pods. It prints a line for each step, so that its parent knows what a
 * runtime would know.
 *
 *     add <container>      added <container> <address>      del <container>      deleted <container>
 *
 * Its argument is its name; the environment selects the datastore.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { autoAssign } from "../../../src/ipam/assign/assign.ts";
import { listPools } from "../../../src/ipam/model/pool.ts";
import { releaseByHandle } from "../../../src/ipam/release/release.ts";
import { openClusterDatastore } from "../../../src/store/cluster/open.ts";
import { readSettings } from "../../../src/store/cluster/settings.ts";
import type { Transaction } from "../../../src/store/transaction.ts";

const maxPods = 6;
const [node = "", life = ""] = process.argv.slice(2);
const datastore = await openClusterDatastore(readSettings(process.env), { timeoutMs: 2000, deadlineMs: 20_000 });
const pods: string[] = [];

await Promise.all([work("x"), work("y")]);

/** Two of these run concurrently, as a runtime works on several pods. */
async function work(worker: string): Promise<void> {
  for (let count = 0; ; count++) {
    if (pods.length >= maxPods) await del(pods.shift() ?? "");
    else await add(`${node}-${life}-${worker}${count}`);
  }
}

async function add(container: string): Promise<void> {
  tell("add", container);
  try {
    const [address = ""] = await datastore.transact(() => assign(container));
    tell("added", container, address);
    pods.push(container);
  } catch {
    // A runtime deletes a container whose ADD failed.
    await del(container);
  }
}

async function del(container: string): Promise<void> {
  tell("del", container);
  for (;;) {
    try {
      await datastore.transact(() => releaseByHandle(`net.${container}`));
      return tell("deleted", container);
    } catch {
      await sleep(100);
    }
  }
}

function* assign(container: string): Transaction<readonly string[]> {
  const wanted = [{ family: 4 as const, pools: [], count: 1 }];
  const now = BigInt(Date.now()) * 1_000_000n;
  const pools = yield* listPools();
  const assigned = yield* autoAssign({ handleId: `net.${container}`, node, attributes: { node }, now, pools, wanted });
  return assigned.map(({ address }) => address);
}

function tell(...words: readonly string[]): void {
  process.stdout.write(`${words.join(" ")}\n`);
}
