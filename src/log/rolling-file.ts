/**
 * A log file that many short processes append to at once: who fills it gives it another name, and the next line begins a new file.
 *
 *     cni.log  ──full──►  cni-2025-11-25T10-00-00.000.log      lumberjack's names, as in Calico: UTC, in the order of time
 *
 * **No line is lost, torn or doubled.** A line is one write(2) with O_APPEND. Who opened the file just before it was renamed writes to
 * the renamed one, and writes once more if that is deleted already (`Sys.appendFile`). One process rotates at a time: it has a lock, without
 * which a second one would rename the new file that the first has made room for. A new name is reserved before the file is renamed to it.
 *
 * **Nobody waits for the lock** while the file is less than twice too large: the work is left to the one who has it. Then a process waits
 * a moment, once, so that the file does not grow for as long as that one is not scheduled. The lock is a file of its own
 * (`cni.log.lock`, 0600): whoever may read the log could lock the log itself for ever.
 */
import { nowMs } from "../host/clock.ts";
import { type FileLock, isErrno, type Sys } from "../host/sys.ts";
import { quietly } from "./quietly.ts";

export interface Rotation {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  /** Rotated files that are kept. */
  readonly maxCount: number;
}

/** Calico lists the directory in every process. What grows old grows old slowly: each 64th process is enough. */
const lookingProcesses = 64;

/** How long a process waits in all for others that rotate the file. */
const patienceMs = 1000;

/** The function that appends a line. It throws when it cannot; rotation fails in silence, and the file grows. */
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
      // Another process may have been faster, and the file is a fresh one by now.
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
 * A name that nobody has, of this millisecond, or later: after all others also where several were full within one, or the clock was set
 * back. The order of names is what is too much by.
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

/** Removes what is too much or too old. */
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
  /** What the names of rotated files begin and end with. */
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

/** Milliseconds since the epoch, of a rotated file's name. */
function timeOf(name: string, stem: string): number {
  const [day = "", time = ""] = name.slice(stem.length, stem.length + stampLength).split("T");
  return Date.parse(`${day}T${time.replaceAll("-", ":")}Z`);
}

/** Also those that Calico has compressed. */
function isRotated(name: string, { stem, suffix }: Parts): boolean {
  if (!name.startsWith(stem) || !stamp.test(name.slice(stem.length))) return false;
  const rest = name.slice(stem.length + stampLength);
  return rest === suffix || rest === `${suffix}.gz` || rest === `${suffix}.zst`;
}
