/** Calico's log keys, read from the configuration before the plugin's own code runs. An invalid value means the default. */
import type { LogOptions } from "./json-logger.ts";
import type { Level } from "./logger.ts";

/** As in the configuration; their values are not validated yet. */
interface LogKeys {
  readonly log_level?: unknown;
  readonly log_file_path?: unknown;
  readonly log_file_max_size?: unknown;
  readonly log_file_max_age?: unknown;
  readonly log_file_max_count?: unknown;
}

/** Calico's names, and other names of logrus and pino for the same levels. */
const levels: ReadonlyMap<unknown, Level> = new Map([
  ["trace", "debug"],
  ["debug", "debug"],
  ["info", "info"],
  ["warn", "warning"],
  ["warning", "warning"],
  ["error", "error"],
  ["fatal", "error"],
  ["panic", "error"],
]);

const mebibyte = 1024 * 1024;
const dayMs = 24 * 3600 * 1000;

export function logOptions(keys: LogKeys): LogOptions {
  const { log_level: level, log_file_path: path } = keys;
  const options = { level: levels.get(typeof level === "string" && level.toLowerCase()) ?? "info" };
  if (typeof path !== "string" || path === "") return options;
  const rotation = {
    maxBytes: numberOr(keys.log_file_max_size, 100) * mebibyte,
    maxAgeMs: numberOr(keys.log_file_max_age, 30) * dayMs,
    maxCount: numberOr(keys.log_file_max_count, 10),
  };
  return { ...options, file: { path, rotation } };
}

/** Whether a text is one of these names; any other text counts as `info`. */
export function isLogLevel(text: string): boolean {
  return levels.has(text.toLowerCase());
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === "number" && value > 0 ? value : fallback;
}
