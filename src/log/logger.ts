/** Log lines in pino's format (`{"level":30,"time":…,"msg":…}`), one JSON object per line. */

export type Level = "debug" | "info" | "warning" | "error";

export interface Logger {
  /** Adds the fields to every line that the returned logger writes. */
  with(fields: Readonly<Record<string, unknown>>): Logger;
  /** `fields` is a function that is called at once, after the operation failed, or never, so that unused lines cost nothing. */
  debug(message: string, fields?: () => Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: () => Readonly<Record<string, unknown>>): void;
  warning(message: string, fields?: () => Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: () => Readonly<Record<string, unknown>>): void;
}
