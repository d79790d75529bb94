/** Builds the requests of `plugin.ts` from the environment and the document, and checks everything that their types promise. */
import { parseArgs, parsePath } from "../cni/args.ts";
import { parseResult } from "../cni/convert.ts";
import { type Document, networkOf, versionOf } from "../cni/document.ts";
import type { Command, Environment } from "../cni/environment.ts";
import { CniError, code } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import type { CniVersion } from "../cni/version.ts";
import type { Logger } from "../log/logger.ts";
import { faultOf } from "../schema/schema.ts";
import type { AddRequest, CheckRequest, DelRequest, GcRequest, ParseConf, StatusRequest } from "./plugin.ts";

/** What every request has. */
export type RequestBase = Omit<StatusRequest<unknown>, "conf">;

/** The inputs of a request. */
export interface Source {
  readonly environment: Environment;
  readonly document: Document;
  readonly common: RequestBase;
  readonly log: Logger;
}

/** Throws `CniError` 6, 7, 4 or 1: checks the document's name, the command and the version, in this order. */
export function readCommon(
  environment: Environment,
  { document, keys, text }: Document,
  command: Command | undefined,
): RequestBase {
  const network = networkOf(keys);
  if (command === undefined) {
    throw new CniError(code.badEnvironment, `unknown CNI_COMMAND: ${environment.command}`);
  }
  return {
    cniVersion: versionOf(keys, command),
    network,
    document,
    text,
    path: parsePath(environment.path),
    args: parseArgs(environment.args),
  };
}

export function addRequest<Conf>(source: Source, parseConf: ParseConf<Conf>): AddRequest<Conf> {
  const { environment, common } = source;
  return {
    ...common,
    attachment: attachmentOf(source),
    conf: parseConf(common.document),
    netns: environment.netns,
    prevResult: prevResultOf(source),
  };
}

export function checkRequest<Conf>(source: Source, parseConf: ParseConf<Conf>): CheckRequest<Conf> {
  const { environment, common } = source;
  const prevResult = prevResultOf(source);
  if (prevResult === undefined) {
    throw new CniError(code.invalidConfig, "cannot check: prevResult is missing");
  }
  return {
    ...common,
    attachment: attachmentOf(source),
    conf: parseConf(common.document),
    netns: environment.netns,
    prevResult,
  };
}

/** Lenient: omits what is no longer valid, and logs it. Without the sandbox, which `sandboxAtDel` finds. */
export function delRequest<Conf>(source: Source, parseConf: ParseConf<Conf>): Omit<DelRequest<Conf>, "netns"> {
  const { common, log } = source;
  return {
    ...common,
    attachment: attachmentOf(source),
    conf: orAbsent(log, () => parseConf(common.document)),
    prevResult: orAbsent(log, () => prevResultOf(source)),
  };
}

export function statusRequest<Conf>({ common }: Source, parseConf: ParseConf<Conf>): StatusRequest<Conf> {
  return { ...common, conf: parseConf(common.document) };
}

/** `undefined` without a list of valid attachments: then nothing is known to be stale. */
export function gcRequest<Conf>(source: Source, parseConf: ParseConf<Conf>): GcRequest<Conf> | undefined {
  const { common, document, log } = source;
  const valid = document.keys[validKey];
  if (valid === undefined) return undefined;
  const fault = faultOf(validSchema, valid, validKey);
  if (fault !== undefined) throw new CniError(code.invalidConfig, `cannot collect garbage: ${fault}`);
  const entries = valid as readonly { readonly containerID: string; readonly ifname: string }[];
  return {
    ...common,
    conf: orAbsent(log, () => parseConf(common.document)),
    valid: entries.map(({ containerID, ifname }) => ({ containerId: containerID, ifname })),
  };
}

const validKey = "cni.dev/valid-attachments";

const validSchema = {
  type: "array",
  items: {
    type: "object",
    properties: { containerID: { type: "string" }, ifname: { type: "string" } },
    required: ["containerID", "ifname"],
  },
} as const;

function attachmentOf({ environment, common }: Source) {
  const { containerId, ifname } = environment;
  return { network: common.network, containerId, ifname };
}

function prevResultOf({ document, common }: Source): Result | undefined {
  const { prevResult } = document.keys;
  return prevResult === undefined ? undefined : parseResult(prevResult, common.cniVersion as CniVersion, "prevResult");
}

/** Returns `undefined` and logs a line, instead of throwing. */
export function orAbsent<T>(log: Logger, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    log.warning("continuing without the unreadable keys", () => ({ error: String(error) }));
    return undefined;
  }
}
