/** Where the rings that run executables find them. */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const ourPluginDir = process.env.TORTIE_PLUGINS ?? join(root, "dist/bin");
/** Debian's containernetworking-plugins: the reference, and host-local and static for delegation. */
export const goPluginDir = "/usr/lib/cni";
export const pluginDirs: readonly string[] = [ourPluginDir, goPluginDir];
export const examplesDir = join(root, "conf-examples");

export const suite = ["calico", "calico-ipam", "bandwidth", "portmap", "loopback"] as const;

export function exampleNames(): readonly string[] {
  return readdirSync(examplesDir).filter((name) => name.endsWith(".conflist"));
}

export function example(name: string): string {
  return join(examplesDir, name);
}

/** Throws unless the executables were built. */
export function requireBuild(): void {
  const missing = suite.filter((name) => !existsSync(join(ourPluginDir, name)));
  if (missing.length > 0)
    throw new Error(`cannot test: ${missing.join(", ")} missing in ${ourPluginDir}; run "npm run build"`);
}
