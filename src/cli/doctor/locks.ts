/** Finds holders of locks. The kernel releases a lock when its holder ends, so only a hanging holder is a problem. */
import { descriptors } from "#plugins/descriptors";
import { storeLock } from "../../store/file/lock.ts";
import { readLocks } from "../../store/file/lock-holder.ts";
import type { Cli } from "../cli.ts";
import { readMounts } from "../node/mount.ts";
import { processName } from "../node/processes.ts";
import type { Finding } from "./finding.ts";

export interface LockFacts {
  readonly held: readonly HeldLock[];
}

export interface HeldLock {
  readonly path: string;
  readonly pid: number;
  /** `undefined` if the process has ended and a child that inherited the open file holds the lock. */
  readonly name: string | undefined;
}

const lockPaths = [storeLock, ...descriptors.flatMap(({ traces }) => traces.locks)];

/** `more`: locks that configurations name. */
export function gatherLocks({ sys }: Cli, more: readonly string[]): LockFacts {
  const mountOf = readMounts(sys);
  const byFile = new Map(
    [...lockPaths, ...more].flatMap((path) => {
      const inode = sys.stat(path)?.inode;
      return inode === undefined ? [] : [[`${mountOf(path).device} ${inode}`, path] as const];
    }),
  );
  const held = readLocks(sys).flatMap(({ device, inode, pid }) => {
    const path = byFile.get(`${decimal(device)} ${inode}`);
    return path === undefined ? [] : [{ path, pid, name: processName(sys, pid) }];
  });
  return { held };
}

/** `00:1a` is 0:26. */
function decimal(device: string): string {
  return device
    .split(":")
    .map((part) => Number.parseInt(part, 16))
    .join(":");
}

/** How long to watch a lock before its holder counts as hanging. */
const patienceMs = 5000;
const pauseMs = 100;

/** The locks that one process holds for longer than any operation takes. */
export function watchLocks({ sys }: Cli, look: () => LockFacts): LockFacts {
  const deadline = sys.monotonicMs() + patienceMs;
  let { held } = look();
  while (held.length > 0 && sys.monotonicMs() < deadline) {
    sys.sleepMs(pauseMs);
    const now = look().held;
    held = held.filter((one) => now.some(({ path, pid }) => path === one.path && pid === one.pid));
  }
  return { held };
}

export function checkLocks({ held }: LockFacts): readonly Finding[] {
  return held.map(({ path, pid, name }) => {
    const who = name === undefined ? `process ${pid}, which ended and passed it on` : `process ${pid} (${name})`;
    return {
      id: "lock-held",
      section: "locks",
      severity: "error",
      subject: path,
      text: `is held by ${who}: every ADD and DEL waits for it, and fails after 40 s`,
      remedy:
        name === undefined ? `fuser -v ${path}   # and stop the process that has it` : `kill ${pid}   # if it hangs`,
    };
  });
}
