/** Log lines of one shape (pino's: `{"level":30,"time":…,"msg":…}`), one JSON object a line. */

export type Level = "debug" | "info" | "warning" | "error";

export interface Logger {
  /** Adds the fields to every line that the returned logger writes. */
  with(fields: Readonly<Record<string, unknown>>): Logger;
  /** `fields` is a function, called at once or when the operation has failed or never, so that what nobody reads costs nothing. */
  debug(message: string, fields?: () => Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: () => Readonly<Record<string, unknown>>): void;
  warning(message: string, fields?: () => Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: () => Readonly<Record<string, unknown>>): void;
}
