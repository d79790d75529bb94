/**
 * The logger of the plugins: writes lines in pino's format to a file and, at level debug or after the operation failed, to stderr.
 *
 *     {"level":30,"time":1700000000000,"pid":42,"hostname":"n1","plugin":"calico","msg":"…"}
 */
import { nowMs } from "../host/clock.ts";
import type { Sys } from "../host/sys.ts";
import type { Level, Logger } from "./logger.ts";
import { quietly } from "./quietly.ts";
import { type Rotation, rollingFile } from "./rolling-file.ts";

export interface LogOptions {
  readonly level: Level;
  /** Absent: no file. */
  readonly file?: { readonly path: string; readonly rotation: Rotation };
}

export interface JsonLogger extends Logger {
  /** Writes the lines that it held back to stderr: the operation failed, and runtimes then show stderr. */
  flush(): void;
}

type Fields = Readonly<Record<string, unknown>>;

const numbers: Readonly<Record<Level, number>> = { debug: 20, info: 30, warning: 40, error: 50 };

/** `fields` are those of every line; the function is called once, for the first line. */
export function jsonLogger(sys: Sys, { level, file }: LogOptions, fields: () => Fields): JsonLogger {
  const threshold = numbers[level];
  // Most operations succeed and never format the lines that they held back.
  const kept: (() => string)[] = [];
  const toStderr = (text: string) => quietly(() => sys.write("stderr", text));
  const toFile = file && rollingFile(sys, file.path, file.rotation);
  const emit = (line: () => string) => {
    if (threshold !== numbers.debug && toFile === undefined) {
      kept.push(line);
      return;
    }
    const text = line();
    if (threshold === numbers.debug) toStderr(text);
    else kept.push(() => text);
    if (toFile !== undefined) quietly(() => toFile(text));
  };
  let common: Fields | undefined;
  const make = (own: Fields): JsonLogger => {
    const at = (number: number) => (msg: string, more?: () => Fields) => {
      if (number < threshold) return;
      quietly(() => {
        const time = nowMs(sys);
        emit(() => {
          common ??= fields();
          const process = { level: number, time, pid: sys.pid(), hostname: sys.hostname() };
          return `${JSON.stringify({ ...process, ...common, ...own, ...more?.(), msg })}\n`;
        });
      });
    };
    return {
      with: (more) => make({ ...own, ...more }),
      debug: at(numbers.debug),
      info: at(numbers.info),
      warning: at(numbers.warning),
      error: at(numbers.error),
      flush() {
        for (const line of kept.splice(0)) quietly(() => toStderr(line()));
      },
    };
  };
  return make({});
}
