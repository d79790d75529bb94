/** The toolchain for executables of the tests: the one that built the plugins of the ring. */
import { join } from "node:path";
import { release, sanitized, stock } from "../../scripts/build/toolchain.ts";
import { isSanitized, isStock, root } from "./suite.ts";

export const toolchain = isSanitized ? sanitized : isStock ? stock : release;

/** The build directory of such an executable. */
export function workDirectoryOf(name: string): string {
  return join(root, isSanitized ? "build/sanitized" : isStock ? "build/stock" : "build", name);
}
