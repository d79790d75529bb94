/** A program for the native host that writes many lines with the plugins' logger: `log-writer <JSON of a LogJob>`. */
import type { Sys } from "../../../src/host/sys.ts";
import { jsonLogger } from "../../../src/log/json-logger.ts";
import type { Rotation } from "../../../src/log/rolling-file.ts";

export interface LogJob {
  readonly path: string;
  readonly rotation: Rotation;
  /** Identifies the lines of one process. */
  readonly writer: number;
  readonly lines: number;
}

export function runLogWriter(sys: Sys): void {
  const { path, rotation, writer, lines } = JSON.parse(sys.args()[1] ?? "") as LogJob;
  const log = jsonLogger(sys, { level: "info", file: { path, rotation } }, () => ({ plugin: "log-writer" }));
  for (let line = 0; line < lines; line++) log.info("written", () => ({ writer, line }));
  sys.exit(0);
}
