/**
 * What the tests tried and what was left behind: one small file per part. `npm run crash` generates the table of docs/reliability.md from
 * them.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../suite.ts";

/** All cases, as in `npm run crash`; otherwise as many as fit into a run of the tests. */
export const isFull = process.env.TORTIE_CRASH === "full";
/** For tests that take long with all cases. */
export const timeoutMs = isFull ? 3 * 3600_000 : 120_000;

export const recordDirectory = join(root, "build/reliability");

/** The rows of the table, in order. */
export const rows = {
  "model-kill": "process stopped at a step, on the fake kernel",
  "model-error": "error at a step, on the fake kernel",
  kill: "process stopped at a step, on the real kernel",
  error: "error at a step, on the real kernel",
  doctor: "leftovers of a killed process, for `tortie doctor --fix` to repair",
  random: "killed after random microseconds",
  vanished: "namespace gone before DEL",
  storm: "operations in storms",
  store: "IPAM datastore: operations of 16 processes at once, some killed",
} as const;
export type Row = keyof typeof rows;

export interface Count {
  readonly tried: number;
  /** The number of tries after which something was left, or the pod was not served. */
  readonly left: number;
}

export interface ReliabilityRecord extends Count {
  readonly row: Row;
  /** The same with the Go plugins. */
  readonly go?: Count;
}

/** Counts the tries of one part, whether its tests pass or not. */
export class Counter implements Count {
  tried = 0;
  left = 0;

  add(more: Count): void {
    this.tried += more.tried;
    this.left += more.left;
  }

  /** Writes no file if nothing was tried: the record of an earlier run stays. */
  record(part: string, row: Row): void {
    const { tried, left } = this;
    if (tried > 0) record(part, { row, tried, left });
  }
}

/** Writes the counts of one part of the tests; `part` names the file. */
export function record(part: string, counted: ReliabilityRecord): void {
  mkdirSync(recordDirectory, { recursive: true });
  writeFileSync(join(recordDirectory, `${part}.json`), `${JSON.stringify(counted, undefined, 2)}\n`);
}
