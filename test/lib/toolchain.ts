/** What tests build executables of their own with: the same that built the plugins which the ring runs. */
import { join } from "node:path";
import { release, sanitized, stock } from "../../scripts/build/toolchain.ts";
import { isSanitized, isStock, root } from "./suite.ts";

export const toolchain = isSanitized ? sanitized : isStock ? stock : release;

/** Where such an executable is built. */
export function workDirectoryOf(name: string): string {
  return join(root, isSanitized ? "build/sanitized" : isStock ? "build/stock" : "build", name);
}
