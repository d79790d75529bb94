/**
 * Cgroups of containers that a test starts: all below one of the test process's own.
 *
 * They are the one thing that does not end with a private node. `removeOwnCgroups` removes them, and `removeStaleCgroups`, at the next start,
 * those of test processes that were killed.
 */
import { readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";

const root = "/sys/fs/cgroup";
const prefix = "tortie-test-";

/** The parent of this process's containers, as an absolute path of cgroups. */
export const cgroupParent = `/${prefix}${process.pid}`;

/** Call it when the node is gone: a cgroup in use cannot be removed. */
export function removeOwnCgroups(): void {
  removeCgroups((name) => `/${name}` === cgroupParent);
}

export function removeStaleCgroups(): void {
  removeCgroups((name) => name.startsWith(prefix) && !isAlive(Number(name.slice(prefix.length))));
}

/** Version 1 has a directory per controller, version 2 has one tree. */
function removeCgroups(wanted: (name: string) => boolean): void {
  for (const parent of [root, ...directoriesIn(root)]) {
    for (const directory of directoriesIn(parent).filter((path) => wanted(path.slice(parent.length + 1))))
      removeTree(directory);
  }
}

/** A cgroup's files go with it; only empty ones can be removed, the deepest first. */
function removeTree(directory: string): void {
  for (const child of directoriesIn(directory)) removeTree(child);
  rmdirSync(directory);
}

function directoriesIn(parent: string): readonly string[] {
  return readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(parent, entry.name));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
