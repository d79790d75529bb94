/**
 * The datastore of commands: the files of this node, or a cluster's (`cluster.ts`). A command is a transaction, which either of them runs.
 *
 * It reports damaged objects on stderr and continues.
 */
import { type Block, isBlock } from "../ipam/model/block.ts";
import { listPools, type Pool } from "../ipam/model/pool.ts";
import type { Datastore, DatastoreOptions } from "../store/datastore.ts";
import type { Kind, StoredObject } from "../store/object.ts";
import { openDatastore } from "../store/open.ts";
import type { StoreError } from "../store/store-error.ts";
import { drive, list, type Transaction } from "../store/transaction.ts";
import type { Cli } from "./cli.ts";
import type { ClusterType } from "./cluster.ts";

export type StoreType = "file" | ClusterType;

export function storeType({ cluster }: Pick<Cli, "cluster">): StoreType {
  return cluster?.type ?? "file";
}

/** The files of this node, for commands that are about the node. */
export function datastoreOf({ sys }: Pick<Cli, "sys">, options: DatastoreOptions = {}): Datastore {
  return openDatastore("file", sys, options);
}

/** Runs a transaction that only reads the files of this node. */
export function readFiles<T>(cli: Cli, transaction: Transaction<T>): T {
  return drive(transaction, datastoreOf(cli, { onDamaged: (error) => noteDamage(cli, error) }).store);
}

/** Called for each object that a listing omits. */
type OnDamaged = (error: StoreError) => void;

/** Runs a transaction that only reads. Files need no lock for it, because each is either old or new. */
export async function readStore<T>(cli: Cli, transaction: Transaction<T>, onDamaged?: OnDamaged): Promise<T> {
  const report = onDamaged ?? ((error) => noteDamage(cli, error));
  return cli.cluster === undefined
    ? drive(transaction, datastoreOf(cli, { onDamaged: report }).store)
    : await cli.cluster.run(transaction, report);
}

/** Runs a transaction that writes: files under their lock; in a cluster other writers may cause conflicts, which the transaction meets. */
export async function writeStore<T>(cli: Cli, transaction: Transaction<T>, onDamaged?: OnDamaged): Promise<T> {
  if (cli.cluster !== undefined) return await readStore(cli, transaction, onDamaged);
  return datastoreOf(cli, onDamaged && { onDamaged }).exclusively((store) => drive(transaction, store));
}

export async function readObjects(cli: Cli, kind: Kind): Promise<readonly StoredObject[]> {
  cli.progress.begin(`reading ${kind} objects`);
  const objects = await readStore(cli, list(kind));
  cli.progress.end();
  return objects;
}

export async function readBlocks(cli: Cli): Promise<readonly Block[]> {
  return (await readObjects(cli, "IPAMBlock")).filter((object): object is Block => {
    if (isBlock(object)) return true;
    cli.note(`tortie: left out IPAMBlock "${object.metadata.name}": its spec is not valid; see "tortie ipam check"`);
    return false;
  });
}

export async function readPools(cli: Cli): Promise<readonly Pool[]> {
  const { pools, faults } = await readStore(cli, listPools());
  for (const fault of faults) noteDamage(cli, fault);
  return pools;
}

function noteDamage(cli: Cli, { message }: StoreError): void {
  cli.note(`tortie: left out: ${message}`);
}
