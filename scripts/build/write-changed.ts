/** Generated files that are right already stay as they are, so that watchers stay quiet and parallel runs do not tear them. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";

export function writeChanged(path: string, text: string): void {
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text);
}
