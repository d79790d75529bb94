/**
 * Passwords of BGP sessions, from files: key K of secret S is `<directory>/S/K`. In Kubernetes, mount the secrets there; the agent needs
 * no right to read secrets.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Password } from "./resources.ts";

/** By `<name>/<key>`, as far as they can be read; a line break at the end is left out. */
export function readSecrets(
  directory: string,
  passwords: readonly (Password | undefined)[],
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const password of passwords) {
    const reference = password?.secretKeyRef;
    if (reference === undefined || !isPlain(reference.name) || !isPlain(reference.key)) continue;
    try {
      const text = readFileSync(join(directory, reference.name, reference.key), "utf8");
      found.set(`${reference.name}/${reference.key}`, text.replace(/\r?\n$/, ""));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }
  return found;
}

/** A file name of Kubernetes' kind, which leads nowhere else. */
function isPlain(name: string): boolean {
  return /^[A-Za-z0-9._-]+$/.test(name) && !name.startsWith(".");
}
