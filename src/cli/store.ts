/** The embedded store as commands see it: what is damaged is told on stderr, the rest goes on. */
import { type Block, isBlock } from "../ipam/model/block.ts";
import { listPools, type Pool } from "../ipam/model/pool.ts";
import { fileStore } from "../store/file.ts";
import { withFileStore } from "../store/lock.ts";
import type { Kind, StoredObject } from "../store/object.ts";
import type { StoreError } from "../store/store-error.ts";
import { drive, list, type Transaction } from "../store/transaction.ts";
import type { Cli } from "./cli.ts";

/** A transaction that only reads; needs no lock, for every file is old or new. */
export function look<T>(cli: Cli, transaction: Transaction<T>): T {
  return drive(transaction, fileStore(cli.sys, { onDamaged: (error) => noteDamage(cli, error) }));
}

export function locked<T>(cli: Cli, transaction: Transaction<T>): T {
  return withFileStore(cli.sys, { onDamaged: (error) => noteDamage(cli, error) }, (store) => drive(transaction, store));
}

export function readObjects(cli: Cli, kind: Kind): readonly StoredObject[] {
  cli.progress.begin(`reading ${kind} objects`);
  const objects = look(cli, list(kind));
  cli.progress.end();
  return objects;
}

export function readBlocks(cli: Cli): readonly Block[] {
  return readObjects(cli, "IPAMBlock").filter((object): object is Block => {
    if (isBlock(object)) return true;
    cli.note(`tortie: left out IPAMBlock "${object.metadata.name}": its spec is no block's; see "tortie ipam check"`);
    return false;
  });
}

export function readPools(cli: Cli): readonly Pool[] {
  const { pools, faults } = look(cli, listPools());
  for (const fault of faults) noteDamage(cli, fault);
  return pools;
}

function noteDamage(cli: Cli, { message }: StoreError): void {
  cli.note(`tortie: left out: ${message}`);
}
