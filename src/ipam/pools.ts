/** The pools as a caller without a transaction sees them. */
import type { Sys } from "../host/sys.ts";
import { fileStore } from "../store/file.ts";
import { drive } from "../store/transaction.ts";
import { listPools, type Pool } from "./pool.ts";

/** The embedded store's pools by name, disabled ones included; none when nothing was ever set up. Takes no lock. */
export function readPools(sys: Sys): readonly Pool[] {
  return drive(listPools(), fileStore(sys)).pools;
}
