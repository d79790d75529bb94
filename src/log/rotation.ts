/**
 * Rotation of a log file that many short processes append to: the one that fills it renames it, and removes what is too old or too much.
 *
 *     cni.log   ->   cni-1700000000000-42.log      (milliseconds since the epoch, process)
 */
import type { Sys } from "../host/sys.ts";

export interface Rotation {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly maxCount: number;
}

export function rotate(sys: Sys, path: string, { maxBytes, maxAgeMs, maxCount }: Rotation): void {
  // Another process may have been faster, and the file is a fresh one by now.
  if ((sys.stat(path)?.size ?? 0) < maxBytes) return;
  const slash = path.lastIndexOf("/");
  const folder = slash < 0 ? "." : path.slice(0, slash) || "/";
  const name = path.slice(slash + 1);
  const dot = name.lastIndexOf(".");
  const stem = `${dot > 0 ? name.slice(0, dot) : name}-`;
  const suffix = dot > 0 ? name.slice(dot) : "";
  const now = sys.wallClock().seconds * 1000;
  sys.rename(path, `${folder}/${stem}${now}-${sys.pid()}${suffix}`);

  const rotated = sys
    .listDir(folder)
    .filter((one) => one.startsWith(stem) && one.endsWith(suffix) && timeOf(one, stem) > 0)
    .sort((a, b) => timeOf(b, stem) - timeOf(a, stem));
  for (const [index, one] of rotated.entries()) {
    if (index >= maxCount || now - timeOf(one, stem) > maxAgeMs) sys.removeFile(`${folder}/${one}`);
  }
}

function timeOf(name: string, stem: string): number {
  return Number.parseInt(name.slice(stem.length), 10) || 0;
}
