/** The embedded store for commands: reports damaged objects on stderr and continues. */
import { type Block, isBlock } from "../ipam/model/block.ts";
import { listPools, type Pool } from "../ipam/model/pool.ts";
import type { Datastore, DatastoreOptions } from "../store/datastore.ts";
import type { Kind, StoredObject } from "../store/object.ts";
import { openDatastore } from "../store/open.ts";
import type { StoreError } from "../store/store-error.ts";
import { drive, list, type Transaction } from "../store/transaction.ts";
import type { Cli } from "./cli.ts";

/** The datastore that holds the command's addresses and settings. */
export function datastoreOf({ sys }: Pick<Cli, "sys">, options: DatastoreOptions = {}): Datastore {
  return openDatastore("file", sys, options);
}

/** Runs a transaction that only reads; needs no lock, because every file is either old or new. */
export function readStore<T>(cli: Cli, transaction: Transaction<T>): T {
  return drive(transaction, datastoreOf(cli, { onDamaged: (error) => noteDamage(cli, error) }).store);
}

export function readObjects(cli: Cli, kind: Kind): readonly StoredObject[] {
  cli.progress.begin(`reading ${kind} objects`);
  const objects = readStore(cli, list(kind));
  cli.progress.end();
  return objects;
}

export function readBlocks(cli: Cli): readonly Block[] {
  return readObjects(cli, "IPAMBlock").filter((object): object is Block => {
    if (isBlock(object)) return true;
    cli.note(`tortie: left out IPAMBlock "${object.metadata.name}": its spec is not valid; see "tortie ipam check"`);
    return false;
  });
}

export function readPools(cli: Cli): readonly Pool[] {
  const { pools, faults } = readStore(cli, listPools());
  for (const fault of faults) noteDamage(cli, fault);
  return pools;
}

function noteDamage(cli: Cli, { message }: StoreError): void {
  cli.note(`tortie: left out: ${message}`);
}
