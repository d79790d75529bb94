/**
 * One exec of a plugin, from the environment and stdin to stdout and the exit status.
 *
 *     flags -> environment (4) -> stdin (5, 6) -> name (7) -> command (4) -> version (1)
 *           -> configuration (7) -> sandbox (3, 4, 8) -> the plugin -> stdout
 *
 * **stdout carries one JSON document or nothing.** Nothing is changed before all of the above is checked; changes are rolled back if the plugin
 * fails or its result cannot be written.
 */
import { type Document, parseDocument } from "../cni/document.ts";
import { type Command, commands, type Environment, readEnvironment } from "../cni/environment.ts";
import { CniError, code } from "../cni/error.ts";
import { collectParts, removePart, writePart } from "../endpoint/part.ts";
import { resolveStack } from "../host/stack.ts";
import { isErrno, type Sys } from "../host/sys.ts";
import { tracedSys } from "../host/traced-sys.ts";
import { type JsonLogger, jsonLogger } from "../log/json-logger.ts";
import { logOptions } from "../log/options.ts";
import { aboutText, buildText, errorText, latestVersion, resultText, versionsText } from "./answer.ts";
import { type Deadline, noDeadline, startDeadline } from "./deadline.ts";
import { protocolError } from "./error-codes.ts";
import { logFields } from "./log-fields.ts";
import type { AddRequest, Context, GcRequest, Plugin } from "./plugin.ts";
import { addRequest, checkRequest, delRequest, gcRequest, readCommon, type Source, statusRequest } from "./request.ts";
import { refuseOwnNetns, sandboxAtDel } from "./sandbox.ts";
import { undoStack } from "./undo.ts";

/** Larger than any real document; go-cni passes pod annotations, which Kubernetes limits to 256 KiB. */
const maxStdinBytes = 16 * 1024 * 1024;
/** How long to wait for stdin if the answer does not depend on it. */
const peekMs = 100;
/** How long to wait otherwise: the runtime writes it at once. */
const stdinMs = 30_000;

/** Runs the plugin with the process's arguments and environment, and ends the process. `TORTIE_TRACE` names a file for its trace. */
export function runPlugin<Conf>(plugin: Plugin<Conf>, machine: Sys): never {
  const environment = machine.environment();
  const file = environment.TORTIE_TRACE;
  const sys = file ? tracedSys(machine, { file, plugin: plugin.name, environment }) : machine;
  const deadline = startDeadline(sys);
  return sys.exit(exitCodeOf(plugin, deadline.sys, deadline, environment));
}

/** The same, but returns the exit code. */
export function exitCodeOf<Conf>(
  plugin: Plugin<Conf>,
  sys: Sys,
  deadline = noDeadline,
  environment = sys.environment(),
): number {
  const flag = sys.args()[1];
  if (flag !== undefined) return runFlag(plugin, sys, flag);
  const command = environment.CNI_COMMAND ?? "";
  if (command === "") {
    sys.write("stderr", aboutText(plugin.name));
    return 0;
  }
  if (command === "VERSION") return answerVersion(sys);
  return answer(plugin, sys, environment, deadline);
}

function runFlag<Conf>(plugin: Plugin<Conf>, sys: Sys, flag: string): number {
  if (flag === "-v" || flag === "--version") {
    sys.write("stdout", buildText(plugin.name));
    return 0;
  }
  if (flag === "-h" || flag === "--help") {
    const flags = ["-v", "-h", ...Object.keys(plugin.flags ?? {})].join(" | ");
    sys.write(
      "stdout",
      `${aboutText(plugin.name)}usage: ${plugin.name} [${flags}], or as a CNI plugin with CNI_COMMAND set\n`,
    );
    return 0;
  }
  const run = plugin.flags?.[flag];
  if (run === undefined) {
    sys.write("stderr", `${plugin.name}: unknown flag "${flag}" (-h lists the flags)\n`);
    return 2;
  }
  const log = jsonLogger(sys, { level: "info" }, () => ({ plugin: plugin.name }));
  const undo = undoStack();
  try {
    return run({ sys, log, undo: undo.push, record: () => {} });
  } catch (error) {
    undo.run(log);
    sys.write("stderr", `${plugin.name}: ${messageOf(error)}\n`);
    return 1;
  }
}

/** VERSION needs only its command; stdin contains the version to return, but may be garbage or never end. */
function answerVersion(sys: Sys): number {
  sys.write("stdout", versionsText(peekVersion(sys)));
  return 0;
}

function peekVersion(sys: Sys): string {
  try {
    return labelOf(parseDocument(sys.readStdinFor(maxStdinBytes, peekMs)));
  } catch {
    return latestVersion;
  }
}

/** The version for an answer: the request's, even if we do not support it. */
function labelOf({ keys: { cniVersion } }: Document): string {
  if (cniVersion === undefined || cniVersion === "") return "0.1.0";
  return typeof cniVersion === "string" ? cniVersion : latestVersion;
}

function answer<Conf>(
  plugin: Plugin<Conf>,
  sys: Sys,
  variables: Readonly<Record<string, string>>,
  deadline: Pick<Deadline, "extend">,
): number {
  let label: string | undefined;
  let log = jsonLogger(sys, { level: "info" }, () => ({ plugin: plugin.name }));
  const undo = undoStack();
  try {
    const environment = readEnvironment(variables);
    // Without a document, an error has the latest version.
    label = latestVersion;
    const text = readStdin(sys);
    sys.phase?.("configuration");
    const document = parseDocument(text);
    label = labelOf(document);
    log = loggerOf(sys, plugin.name, environment, document);
    const command = commands.find((known) => known === environment.command);
    const source = { environment, document, common: readCommon(environment, document, command), log };
    const context = { sys, log, undo: undo.push, record: () => {} };
    const result = operate(plugin, command as Command, source, context);
    if (result !== undefined) writeResult(sys, result);
    return 0;
  } catch (error) {
    deadline.extend();
    sys.phase?.("roll-back");
    undo.run(log);
    const answered = toCniError(error, log);
    log.error(answered.message, () => ({ code: answered.code, details: answered.details }));
    log.flush();
    return printError(sys, errorText(answered, label ?? peekVersion(sys)));
  }
}

/** Calls the plugin's function. Returns the text for stdout. */
function operate<Conf>(plugin: Plugin<Conf>, command: Command, source: Source, context: Context): string | undefined {
  const { environment, log } = source;
  log.debug("begin", () => ({ netns: environment.netns, args: environment.args, document: source.document.document }));
  if (command === "ADD") {
    const request = addRequest(source, plugin.parseConf);
    refuseOwnNetns(context.sys, environment, "must be there");
    let isRecorded = false;
    const record = () => {
      recordPart(plugin.name, request, environment, context);
      isRecorded = true;
    };
    context.sys.phase?.(plugin.name);
    const result = plugin.add(request, { ...context, record });
    context.sys.phase?.("answer");
    const text = resultText(result, request.cniVersion);
    // An earlier ADD created it, and this one removed it.
    if (plugin.records && !isRecorded) removePart(context.sys, { type: plugin.name, attachment: request.attachment });
    log.debug("end", () => ({ result: text }));
    return text;
  }
  if (command === "DEL") {
    const netns = sandboxAtDel(context.sys, environment);
    if (netns === undefined) log.debug("continuing without the sandbox", () => ({ netns: environment.netns }));
    const request = { ...delRequest(source, plugin.parseConf), netns };
    context.sys.phase?.(plugin.name);
    plugin.del(request, context);
    if (plugin.records) removePart(context.sys, { type: plugin.name, attachment: request.attachment });
  } else if (command === "CHECK") {
    const request = checkRequest(source, plugin.parseConf);
    refuseOwnNetns(context.sys, environment, "may be gone");
    context.sys.phase?.(plugin.name);
    plugin.check(request, context);
  } else if (command === "STATUS") {
    const request = statusRequest(source, plugin.parseConf);
    context.sys.phase?.(plugin.name);
    plugin.status(request, context);
  } else {
    const request = gcRequest(source, plugin.parseConf);
    context.sys.phase?.(plugin.name);
    if (request === undefined) log.warning("nothing collected: the runtime did not pass the valid attachments");
    else collect(plugin, request, context);
  }
  log.debug("end");
  return undefined;
}

function recordPart(
  type: string,
  { attachment, netns, document }: AddRequest<unknown>,
  { args }: Environment,
  { sys, undo }: Context,
): void {
  try {
    undo("roll back the part of the record", writePart(sys, { type, attachment, netns, args, document }));
  } catch (error) {
    throw new CniError(code.datastore, `cannot record what ${type} is to make: ${messageOf(error)}`);
  }
}

function collect<Conf>(plugin: Plugin<Conf>, request: GcRequest<Conf>, context: Context): void {
  const { network, valid } = request;
  plugin.gc(request, context);
  if (!plugin.records) return;
  const kept = valid.map((attachment) => ({ network, ...attachment }));
  collectParts(context.sys, plugin.name, network, kept);
}

function readStdin(sys: Sys): string {
  try {
    return sys.readStdin(maxStdinBytes, stdinMs);
  } catch (error) {
    if (isErrno(error, "ETIMEDOUT")) {
      throw new CniError(code.tryAgainLater, `cannot read stdin: it did not end within ${stdinMs / 1000} s`);
    }
    const reason = isErrno(error, "EFBIG") ? "more than 16 MiB" : messageOf(error);
    throw new CniError(code.io, `error reading from stdin: ${reason}`);
  }
}

/** If the runtime does not get the result, the ADD has failed, and is rolled back. */
function writeResult(sys: Sys, text: string): void {
  try {
    sys.write("stdout", text);
  } catch (error) {
    throw new CniError(code.io, `cannot write the result: ${messageOf(error)}`);
  }
}

function loggerOf(sys: Sys, plugin: string, environment: Environment, { keys }: Document): JsonLogger {
  return jsonLogger(sys, logOptions(keys), () => logFields(plugin, environment, keys.name));
}

/** Any other error is an unexpected failure of a system call, or a bug: its stack is logged. */
function toCniError(error: unknown, log: JsonLogger): CniError {
  const known = protocolError(error);
  if (known !== undefined) return known;
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  log.error("unexpected error", () => ({ error: String(error), stack: resolveStack(stack) }));
  const refused = error instanceof Error && "code" in error;
  return new CniError(refused ? code.io : code.internal, messageOf(error));
}

/** If stdout is closed, the exit code still reports the failure. */
function printError(sys: Sys, text: string): number {
  try {
    sys.write("stdout", text);
  } catch {
    return 1;
  }
  return 1;
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message === "" ? "unknown error" : message;
}
