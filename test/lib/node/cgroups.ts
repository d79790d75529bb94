/**
 * Cgroups of containers that a test starts: all below one cgroup per test process.
 *
 * They are the one thing that does not end with a private node. `removeOwnCgroups` removes them; `removeStaleCgroups`, at the next start,
 * removes those of killed test processes.
 */
import { readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";

const root = "/sys/fs/cgroup";
const prefix = "tortie-test-";

/** The absolute path of the parent cgroup of this process's containers. */
export const cgroupParent = `/${prefix}${process.pid}`;

/** Call it after the node has ended: a cgroup in use cannot be removed. */
export function removeOwnCgroups(): void {
  removeCgroups((name) => `/${name}` === cgroupParent);
}

export function removeStaleCgroups(): void {
  removeCgroups((name) => name.startsWith(prefix) && !isAlive(Number(name.slice(prefix.length))));
}

/** Version 1 has a hierarchy per controller, version 2 has one hierarchy. */
function removeCgroups(wanted: (name: string) => boolean): void {
  for (const parent of [root, ...directoriesIn(root)]) {
    for (const directory of directoriesIn(parent).filter((path) => wanted(path.slice(parent.length + 1))))
      removeTree(directory);
  }
}

/** Only empty cgroups can be removed (their files do not count), so the innermost ones go first. */
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
