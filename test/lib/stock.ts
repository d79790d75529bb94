/** vitest's set-up of the ring `stock`: builds the executables on the engine as published. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./suite.ts";

export function setup(): void {
  execFileSync(join(root, "node_modules/.bin/tsx"), ["scripts/build.ts", "--stock"], { cwd: root, stdio: "inherit" });
}
