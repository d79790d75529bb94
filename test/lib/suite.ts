/** The paths of the executables for the rings that run them. */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { descriptors } from "#plugins/descriptors";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const ourPluginDir = resolve(root, process.env.TORTIE_PLUGINS ?? "dist/bin");
/** Whether the executables are those with sanitizers (`scripts/build.ts --sanitized`): dynamic, large, in need of /proc. */
export const isSanitized = ourPluginDir === join(root, "build/sanitized/bin");
/** Whether they are those on the engine as published (`scripts/build.ts --stock`): slower, and without an image. */
export const isStock = ourPluginDir === join(root, "build/stock/bin");
/** Debian's containernetworking-plugins: the reference, and host-local and static for delegation. */
export const goPluginDir = toolDir("containernetworking-plugins", "usr/lib/cni", "/usr/lib/cni");
export const pluginDirs: readonly string[] = [ourPluginDir, goPluginDir];
export const examplesDir = join(root, "conf-examples");

/** A directory of a Debian package that scripts/setup unpacked; if it could not, the installed one with the same content. */
export function toolDir(debianPackage: string, below: string, installed: string): string {
  const unpacked = join(root, "build/tools", debianPackage, below);
  return existsSync(unpacked) ? unpacked : installed;
}

export const suite = descriptors.map(({ name }) => name);

export function exampleNames(): readonly string[] {
  return readdirSync(examplesDir).filter((name) => name.endsWith(".conflist"));
}

export function example(name: string): string {
  return join(examplesDir, name);
}

/** Throws unless the executables have been built. */
export function requireBuild(): void {
  const missing = suite.filter((name) => !existsSync(join(ourPluginDir, name)));
  if (missing.length > 0)
    throw new Error(`cannot test: ${missing.join(", ")} missing in ${ourPluginDir}; run "npm run build"`);
}
