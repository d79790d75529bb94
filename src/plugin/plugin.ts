/**
 * What a plugin is: a name, a configuration, and one function per operation.
 *
 * `runPlugin` (`run.ts`) parses everything at the edge, so that a request carries its guarantees in its type, calls the
 * function, and answers on stdout. On any error it runs what the plugin registered with `undo`, last first.
 */

import type { Result } from "../cni/result.ts";
import type { CniVersion } from "../cni/version.ts";
import type { Sys } from "../host/sys.ts";
import type { Attachment } from "../identity/attachment.ts";
import type { Logger } from "../log/logger.ts";

export type JsonObject = { readonly [key: string]: unknown };

/** What every operation gets. */
export interface Context {
  readonly sys: Sys;
  readonly log: Logger;
  /** Registers what takes back the step just done, should this call fail later. Errors in it are logged, not thrown. */
  undo(what: string, action: () => void): void;
  /**
   * Records what an ADD was asked to make (`src/endpoint/part.ts`). A plugin that `records` calls it when nothing can be refused any more and
   * nothing is made yet. Throws `CniError` 103 when it cannot be written. Does nothing but in a plugin's own ADD.
   */
  record(): void;
}

interface Request<Conf> {
  readonly cniVersion: CniVersion;
  readonly network: string;
  readonly conf: Conf;
  /** The document from stdin, unchanged but parsed. */
  readonly document: JsonObject;
  /** The same as it came: what a delegate gets. Who changes the one changes the other (`withDocument`). */
  readonly text: string;
  /** CNI_PATH, split. */
  readonly path: readonly string[];
  /** CNI_ARGS, parsed leniently: unknown keys are kept, never refused. */
  readonly args: Readonly<Record<string, string>>;
}

export interface AddRequest<Conf> extends Request<Conf> {
  readonly attachment: Attachment;
  /** The path as the runtime gave it; it is a network namespace and not our own. */
  readonly netns: string;
  /** The result of the plugins before; absent for the first of a chain. */
  readonly prevResult: Result | undefined;
}

export interface CheckRequest<Conf> extends Request<Conf> {
  readonly attachment: Attachment;
  readonly netns: string;
  readonly prevResult: Result;
}

/** DEL works from the attachment alone; everything else may be missing. */
export interface DelRequest<Conf> extends Omit<Request<Conf>, "conf"> {
  readonly attachment: Attachment;
  /** Absent when the path is empty, leads to no network namespace, or to the node's own. */
  readonly netns: string | undefined;
  readonly prevResult: Result | undefined;
  /** Absent when the configuration is not valid any more. */
  readonly conf: Conf | undefined;
}

export interface StatusRequest<Conf> extends Request<Conf> {}

export interface GcRequest<Conf> extends Omit<Request<Conf>, "conf"> {
  /** `cni.dev/valid-attachments`; the key is present (an absent key never gets here: it means "unknown", not "none"). */
  readonly valid: readonly { readonly containerId: string; readonly ifname: string }[];
  readonly conf: Conf | undefined;
}

/** Reads a plugin's configuration out of the document. Throws `CniError` 7 (or 2, 6) that names the key. */
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
   * What its ADD makes for an attachment can be lost behind its back: it calls `record` before. The record is there until DEL, GC or an ADD that
   * makes nothing has removed what was made.
   */
  readonly records?: true;
  /** Switches beside `-v`: `calico -t`. Returns the exit status. */
  readonly flags?: Readonly<Record<string, (context: Context) => number>>;
}

/** Gives the object its type; a plugin's `main.ts` exports it as its default. */
export function definePlugin<Conf>(plugin: Plugin<Conf>): Plugin<Conf> {
  return plugin;
}
