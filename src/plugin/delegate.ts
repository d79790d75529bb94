/**
 * Delegation (specification section 4): another plugin of CNI_PATH does a part of the work, with the whole document on its stdin.
 *
 *     type in CNI_PATH ──┬── another executable: run it
 *                        └── this executable, and the plugin is built in: call it in this process
 *
 * Both roll back the delegate's ADD if it fails or if the rest of the caller's ADD fails: in another process with a DEL, as the specification
 * says; in this process with the steps that the delegate registered, which cover only this call (a failed repetition of an ADD must not
 * release the addresses of a running pod). A delegate's error keeps its code and message.
 */
import { parseResult } from "../cni/convert.ts";
import { CniError, code } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import { execute, parseJson } from "./execute.ts";
import { findPlugin, isOwnExecutable } from "./find.ts";
import type {
  AddRequest,
  CheckRequest,
  Context,
  DelRequest,
  GcRequest,
  JsonObject,
  Plugin,
  StatusRequest,
} from "./plugin.ts";
import { orAbsent } from "./request.ts";
import { undoStack } from "./undo.ts";

/** The plugins that can run in this process, by type. */
export type Builtin = Readonly<Record<string, Plugin<unknown>>>;

type Common = Omit<StatusRequest<unknown>, "conf">;

export function delegateAdd(
  type: string,
  request: AddRequest<unknown>,
  context: Context,
  builtin: Builtin = {},
): Result {
  const delegate = resolve(type, request, context, builtin);
  if ("plugin" in delegate) {
    return inProcess(delegate.plugin, context, (plugin, inner) =>
      plugin.add({ ...request, conf: plugin.parseConf(request.document) }, inner),
    );
  }
  const { conf: _, ...rest } = request;
  const takeBack = () => delegateDel(type, { ...rest, conf: undefined }, context, builtin);
  const undo = undoStack();
  try {
    const result = readResult(execute(context.sys, delegate.path, "ADD", request.text), type, request);
    context.undo(`DEL of plugin "${type}"`, takeBack);
    return result;
  } catch (error) {
    undo.push(`DEL of plugin "${type}"`, takeBack);
    undo.run(context.log);
    throw error;
  }
}

export function delegateCheck(
  type: string,
  request: CheckRequest<unknown>,
  context: Context,
  builtin: Builtin = {},
): void {
  run(type, "CHECK", request, context, builtin, (plugin, inner) => {
    plugin.check({ ...request, conf: plugin.parseConf(request.document) }, inner);
  });
}

/** If the sandbox is gone, the delegate gets no CNI_NETNS, because the reference plugins reject the node's own namespace. */
export function delegateDel(type: string, request: DelRequest<unknown>, context: Context, builtin: Builtin = {}): void {
  const call: Call<void> = (plugin, inner) => {
    plugin.del({ ...request, conf: lenientConf(plugin, request.document, context) }, inner);
  };
  run(type, "DEL", request, context, builtin, call, { CNI_NETNS: request.netns ?? "" });
}

export function delegateGc(type: string, request: GcRequest<unknown>, context: Context, builtin: Builtin = {}): void {
  run(type, "GC", request, context, builtin, (plugin, inner) => {
    plugin.gc({ ...request, conf: lenientConf(plugin, request.document, context) }, inner);
  });
}

/** Throws `CniError` 50 if the delegate is not installed. */
export function delegateStatus(
  type: string,
  request: StatusRequest<unknown>,
  context: Context,
  builtin: Builtin = {},
): void {
  try {
    findPlugin(context.sys, type, request.path);
  } catch (error) {
    throw new CniError(code.pluginNotAvailable, (error as Error).message);
  }
  run(type, "STATUS", request, context, builtin, (plugin, inner) => {
    plugin.status({ ...request, conf: plugin.parseConf(request.document) }, inner);
  });
}

/** The IPAM plugin's type, for DEL and GC, which work without a valid configuration. `fallback`: for a document that names none. */
export function ipamTypeOf({ ipam }: JsonObject, fallback: string): string {
  const type = typeof ipam === "object" && ipam !== null && "type" in ipam ? ipam.type : undefined;
  return typeof type === "string" && type !== "" ? type : fallback;
}

/** The request with another document, for a delegate. */
export function withDocument<R extends Pick<Common, "document" | "text">>(request: R, document: JsonObject): R {
  return document === request.document ? request : { ...request, document, text: JSON.stringify(document) };
}

type Call<T> = (plugin: Plugin<unknown>, context: Context) => T;

/** For every command except ADD: there is no result. */
function run(
  type: string,
  command: string,
  request: Common,
  context: Context,
  builtin: Builtin,
  call: Call<void>,
  environment: Readonly<Record<string, string>> = {},
): void {
  const delegate = resolve(type, request, context, builtin);
  if ("plugin" in delegate) inProcess(delegate.plugin, context, call);
  else execute(context.sys, delegate.path, command, request.text, environment);
}

function resolve(
  type: string,
  { path }: Common,
  { sys }: Context,
  builtin: Builtin,
): { readonly path: string } | { readonly plugin: Plugin<unknown> } {
  const found = findPlugin(sys, type, path);
  const plugin = Object.hasOwn(builtin, type) ? builtin[type] : undefined;
  return plugin !== undefined && isOwnExecutable(sys, found) ? { plugin } : { path: found };
}

/** The plugin's steps are undone if it fails, or later if the caller fails. */
function inProcess<T>(plugin: Plugin<unknown>, context: Context, call: Call<T>): T {
  const log = context.log.with({ plugin: plugin.name });
  const undo = undoStack();
  const caller = context.sys.phase?.(plugin.name);
  try {
    const result = call(plugin, { sys: context.sys, log, undo: undo.push, record: () => {} });
    context.undo(`ADD of plugin "${plugin.name}"`, () => undo.run(log));
    return result;
  } catch (error) {
    undo.run(log);
    throw error;
  } finally {
    if (caller !== undefined) context.sys.phase?.(caller);
  }
}

function lenientConf(plugin: Plugin<unknown>, document: JsonObject, { log }: Context): unknown {
  return orAbsent(log, () => plugin.parseConf(document));
}

function readResult(stdout: string, type: string, { cniVersion }: Common): Result {
  const answer = parseJson(stdout);
  if (answer === undefined) {
    const found = stdout === "" ? "nothing" : JSON.stringify(stdout.slice(0, 200));
    throw new CniError(
      code.decoding,
      `cannot read the result of plugin "${type}": want one JSON document, not ${found}`,
    );
  }
  return parseResult(answer, cniVersion, `the result of plugin "${type}"`);
}
