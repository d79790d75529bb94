/** Leaves a generated file alone if its content is unchanged, so that watchers stay quiet and parallel runs do not read half of a file. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";

export function writeChanged(path: string, text: string): void {
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text);
}
