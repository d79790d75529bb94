/**
 * The definition of a plugin: a name, a configuration, and one function per operation.
 *
 * `runPlugin` (`run.ts`) parses all inputs, so that a request's type guarantees their validity, calls the function, and answers on stdout. On any
 * error it runs the steps that the plugin registered with `undo`, last first.
 */

import type { Result } from "../cni/result.ts";
import type { CniVersion } from "../cni/version.ts";
import type { Sys } from "../host/sys.ts";
import type { Attachment } from "../identity/attachment.ts";
import type { Logger } from "../log/logger.ts";

export type JsonObject = { readonly [key: string]: unknown };

/** Passed to every operation. */
export interface Context {
  readonly sys: Sys;
  readonly log: Logger;
  /** Registers the roll-back of the step just done, for a later failure of this call. Its errors are logged, not thrown. */
  undo(what: string, action: () => void): void;
  /**
   * Records the request of an ADD (`src/endpoint/part.ts`). A plugin with `records` calls it after all validation and before it creates anything.
   * Throws `CniError` 103 if the record cannot be written. Does nothing except in a plugin's own ADD.
   */
  record(): void;
}

interface Request<Conf> {
  readonly cniVersion: CniVersion;
  readonly network: string;
  readonly conf: Conf;
  /** The parsed document from stdin, unchanged. */
  readonly document: JsonObject;
  /** The same as text, for delegates. Code that changes one must change the other (`withDocument`). */
  readonly text: string;
  /** CNI_PATH, split. */
  readonly path: readonly string[];
  /** CNI_ARGS, parsed leniently: unknown keys are kept. */
  readonly args: Readonly<Record<string, string>>;
}

export interface AddRequest<Conf> extends Request<Conf> {
  readonly attachment: Attachment;
  /** The path from the runtime; it is a network namespace other than our own. */
  readonly netns: string;
  /** The result of the earlier plugins; absent for the first plugin of a chain. */
  readonly prevResult: Result | undefined;
}

export interface CheckRequest<Conf> extends Request<Conf> {
  readonly attachment: Attachment;
  readonly netns: string;
  readonly prevResult: Result;
}

/** DEL needs only the attachment; everything else may be missing. */
export interface DelRequest<Conf> extends Omit<Request<Conf>, "conf"> {
  readonly attachment: Attachment;
  /** Absent if the path is empty, is not a network namespace, or is the node's own. */
  readonly netns: string | undefined;
  readonly prevResult: Result | undefined;
  /** Absent if the configuration is no longer valid. */
  readonly conf: Conf | undefined;
}

export interface StatusRequest<Conf> extends Request<Conf> {}

export interface GcRequest<Conf> extends Omit<Request<Conf>, "conf"> {
  /** `cni.dev/valid-attachments`. Without the key, the plugin is not called: a missing list means "unknown", not "none". */
  readonly valid: readonly { readonly containerId: string; readonly ifname: string }[];
  readonly conf: Conf | undefined;
}

/** Parses a plugin's configuration. Throws `CniError` 7 (or 2, 6), which names the key. */
export type ParseConf<Conf> = (document: JsonObject) => Conf;

export interface Plugin<Conf> {
  /** The executable's name and the `type` of a configuration. */
  readonly name: string;
  readonly parseConf: ParseConf<Conf>;
  add(request: AddRequest<Conf>, context: Context): Result;
  check(request: CheckRequest<Conf>, context: Context): void;
  del(request: DelRequest<Conf>, context: Context): void;
  gc(request: GcRequest<Conf>, context: Context): void;
  status(request: StatusRequest<Conf>, context: Context): void;
  /**
   * Other programs may delete the objects that its ADD creates, so it calls `record` before. The record exists until DEL, GC or a failed ADD has removed
   * the objects.
   */
  readonly records?: true;
  /** Flags in addition to `-v`: `calico -t`. Returns the exit code. */
  readonly flags?: Readonly<Record<string, (context: Context) => number>>;
}

/** Gives the object its type; a plugin's `main.ts` exports it as its default. */
export function definePlugin<Conf>(plugin: Plugin<Conf>): Plugin<Conf> {
  return plugin;
}
