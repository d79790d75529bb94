/** Maintains the embedded store's directories; the caller holds the lock, as for every write. */
import { isErrno, type Sys } from "../../host/sys.ts";
import type { Kind } from "../object.ts";
import { StoreError } from "../store-error.ts";
import { fileMode, places } from "./places.ts";

/** Temporary names of files (src/host). */
const leftover = /^\.tmp-/;

/** Removes the unfinished files of killed processes. While the lock is held, no other process writes. */
export function sweepLeftovers(sys: Sys): void {
  for (const { directory } of Object.values(places)) {
    for (const name of namesIn(sys, directory)) if (leftover.test(name)) removeFile(sys, `${directory}/${name}`);
  }
}

/** A full disk has room for an empty file. */
const content = "\n";

/** Throws `StoreError` if objects of this kind cannot be created. Tests the directory where the first one would be created, and leaves nothing behind. */
export function testWritable(sys: Sys, kind: Kind): void {
  const { directory } = places[kind];
  const parts = directory.split("/");
  while (sys.stat(parts.join("/") || "/") === undefined) parts.pop();
  const probe = `${parts.join("/")}/.tmp-probe-${sys.pid()}`;
  try {
    sys.replaceFile(probe, content, { mode: fileMode, durable: false });
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
