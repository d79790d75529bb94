/**
 * A log file that many short-lived processes append to at once. The process that fills it renames it, and the next line starts a new file.
 *
 *     cni.log  ──full──►  cni-2025-11-25T10-00-00.000.log      lumberjack's names, as in Calico: UTC, in chronological order
 *
 * **No line is lost, split or repeated.** A line is one write(2) with O_APPEND. A process that opened the file just before it was renamed
 * writes to the renamed file, and writes again if that was deleted (`Sys.appendFile`). One process rotates at a time, under a lock; without the
 * lock a second process could rename the new file as well. The new name is reserved before the file is renamed to it.
 *
 * **No process waits for the lock** while the file is less than twice the limit: the holder does the work. Above that a process waits a
 * moment, once, so that the file does not keep growing while the holder is not scheduled. The lock is a separate file (`cni.log.lock`, 0600),
 * because any user who may read the log could lock the log itself for ever.
 */
import { nowMs } from "../host/clock.ts";
import { type FileLock, isErrno, type Sys } from "../host/sys.ts";
import { quietly } from "./quietly.ts";

export interface Rotation {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  /** How many rotated files are kept. */
  readonly maxCount: number;
}

/** Calico lists the directory in every process. Files age slowly: every 64th process is enough. */
const lookingProcesses = 64;

/** How long a process waits in total for others that rotate the file. */
const patienceMs = 1000;

/** Returns a function that appends a line and throws if it cannot. Rotation fails silently, and the file grows. */
export function rollingFile(sys: Sys, path: string, rotation: Rotation): (line: string) => void {
  const { maxBytes } = rotation;
  const parts = partsOf(path);
  let looks: boolean | undefined;
  let patience = patienceMs;

  function rotateLocked(size: number): void {
    const timeoutMs = size < 2 * maxBytes ? 0 : patience;
    let lock: FileLock;
    try {
      lock = sys.lock(`${path}.lock`, "exclusive", timeoutMs);
    } catch (error) {
      patience -= timeoutMs;
      throw error;
    }
    try {
      // Another process may have rotated the file in the meantime.
      if ((sys.stat(path)?.size ?? 0) < maxBytes) return;
      const earlier = rotatedNames(sys, parts);
      const name = reserve(sys, parts, earlier.at(-1));
      sys.rename(path, `${parts.directory}/${name}`);
      prune(sys, parts, [...earlier, name], rotation);
    } finally {
      sys.unlock(lock);
    }
  }

  return (line) => {
    const size = append(sys, path, line);
    looks ??= sys.pid() % lookingProcesses === 0;
    if (size >= maxBytes) quietly(() => rotateLocked(size));
    else if (looks) quietly(() => prune(sys, parts, rotatedNames(sys, parts), rotation));
    looks = false;
  };
}

function append(sys: Sys, path: string, line: string): number {
  try {
    return sys.appendFile(path, line, 0o644);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    sys.makeDirs(partsOf(path).directory, 0o755);
    return sys.appendFile(path, line, 0o644);
  }
}

/**
 * An unused name, of this millisecond or later. It sorts after all others even if several files were full within a millisecond or the clock
 * was set back, because the order of names decides which files are removed.
 */
function reserve(sys: Sys, { directory, stem, suffix }: Parts, youngest: string | undefined): string {
  const next = youngest === undefined ? 0 : timeOf(youngest, stem) + 1;
  for (let ms = Math.max(nowMs(sys), next); ; ms++) {
    const name = `${stem}${stampOf(ms)}${suffix}`;
    try {
      sys.createFile(`${directory}/${name}`, "", 0o644);
      return name;
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
    }
  }
}

/** Removes files that are too many or too old. */
function prune(
  sys: Sys,
  { directory, stem }: Parts,
  rotated: readonly string[],
  { maxAgeMs, maxCount }: Rotation,
): void {
  const oldest = stem + stampOf(Math.max(0, nowMs(sys) - maxAgeMs));
  for (const [index, name] of rotated.entries()) {
    const tooMany = index < rotated.length - maxCount;
    if (tooMany || name < oldest) quietly(() => sys.removeFile(`${directory}/${name}`));
  }
}

/** Oldest first. */
function rotatedNames(sys: Sys, parts: Parts): readonly string[] {
  return sys
    .listDir(parts.directory)
    .filter((name) => isRotated(name, parts))
    .sort();
}

interface Parts {
  readonly directory: string;
  /** The prefix and suffix of rotated files' names. */
  readonly stem: string;
  readonly suffix: string;
}

function partsOf(path: string): Parts {
  const slash = path.lastIndexOf("/");
  const name = path.slice(slash + 1);
  const dot = name.lastIndexOf(".");
  return {
    directory: slash < 0 ? "." : path.slice(0, slash) || "/",
    stem: `${dot > 0 ? name.slice(0, dot) : name}-`,
    suffix: dot > 0 ? name.slice(dot) : "",
  };
}

const stamp = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}/;
const stampLength = 23;

function stampOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, stampLength).replaceAll(":", "-");
}

/** Milliseconds since the epoch, from a rotated file's name. */
function timeOf(name: string, stem: string): number {
  const [day = "", time = ""] = name.slice(stem.length, stem.length + stampLength).split("T");
  return Date.parse(`${day}T${time.replaceAll("-", ":")}Z`);
}

/** Includes those that Calico compressed. */
function isRotated(name: string, { stem, suffix }: Parts): boolean {
  if (!name.startsWith(stem) || !stamp.test(name.slice(stem.length))) return false;
  const rest = name.slice(stem.length + stampLength);
  return rest === suffix || rest === `${suffix}.gz` || rest === `${suffix}.zst`;
}
