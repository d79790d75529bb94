/** `tortie get`, `apply`, …: names, options, and help of each command. */
import type { CommandModule } from "yargs";
import type { Run } from "./program.ts";

export function resourceCommands(_run: Run): readonly CommandModule[] {
  return [];
}
