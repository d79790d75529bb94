/** What keeps the embedded store's directories in order; the caller holds the lock, as for every write. */
import { isErrno, type Sys } from "../../host/sys.ts";
import type { Kind } from "../object.ts";
import { StoreError } from "../store-error.ts";
import { fileMode, places } from "./places.ts";

/** The names that files are written under before they get their own (src/host). */
const leftover = /^\.tmp-/;

/** Removes what processes that were killed in the middle of a write left behind. Nobody else is writing while the lock is held. */
export function sweepLeftovers(sys: Sys): void {
  for (const { directory } of Object.values(places)) {
    for (const name of namesIn(sys, directory)) if (leftover.test(name)) removeFile(sys, `${directory}/${name}`);
  }
}

/** Throws `StoreError` when objects of this kind cannot be made. Tries it where the first one would make its directories, and leaves nothing. */
export function testWritable(sys: Sys, kind: Kind): void {
  const { directory } = places[kind];
  const parts = directory.split("/");
  while (sys.stat(parts.join("/") || "/") === undefined) parts.pop();
  const probe = `${parts.join("/")}/.tmp-probe-${sys.pid()}`;
  try {
    sys.replaceFile(probe, "", { mode: fileMode, durable: false });
    removeFile(sys, probe);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const object = { kind, name: "" };
    throw new StoreError({ action: "create", object, reason: error.message, place: directory, cause: error });
  }
}

function namesIn(sys: Sys, directory: string): readonly string[] {
  return sys.stat(directory) === undefined ? [] : sys.listDir(directory);
}

function removeFile(sys: Sys, path: string): void {
  try {
    sys.removeFile(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
