/**
 * The node's name, under which IPAM's affinities and the endpoints are stored.
 *
 * Calico's order of sources: `nodename`, the nodename file, the deprecated `hostname`, the host name in lower case. **It must be a valid name of a
 * Kubernetes node**, because it becomes part of file names and of tables for people.
 */
import { CniError, code } from "../cni/error.ts";
import type { Sys } from "../host/sys.ts";
import { isDnsSubdomain } from "../net/dns-name.ts";
import { usesAgent, whereAgentIs } from "./node-agent.ts";

export interface NodenameConf {
  /** `nodename`. */
  readonly name: string | undefined;
  readonly file: string;
  /** Whether ADD fails while the file is missing. */
  readonly fileRequired: boolean;
  /** Whether the node agent writes the file when the node is ready. */
  readonly fileIsAgents: boolean;
  /** `hostname`, deprecated. */
  readonly fallback: string | undefined;
}

/** Where Calico's node agent writes the name. */
const defaultFile = "/var/lib/calico/nodename";

/** The defaults, for a configuration that is not valid. */
export const defaultNodename: NodenameConf = {
  name: undefined,
  file: defaultFile,
  fileRequired: false,
  fileIsAgents: false,
  fallback: undefined,
};

/**
 * For DEL and GC in a cluster, which go on with an invalid configuration, and without the agent's file: where it never was, no ADD succeeded.
 * Throws `CniError` 7 if the name is not valid.
 */
export function clusterNodename(conf: NodenameConf | undefined, sys: Sys): string {
  return nodename({ ...(conf ?? defaultNodename), fileRequired: false }, sys);
}

/**
 * Renames the JSON keys. The default file may be missing: with the embedded store there is no node agent to write it. A file that the
 * configuration names must exist, unless `nodename_file_optional` is set. In a cluster, where the agent writes it, the default file must exist
 * too, because the host name may not be the node's name.
 */
export function nodenameConf(conf: {
  readonly datastore_type?: string | undefined;
  readonly nodename?: string | undefined;
  readonly nodename_file?: string | undefined;
  readonly nodename_file_optional?: boolean | undefined;
  readonly hostname?: string | undefined;
}): NodenameConf {
  const named = conf.nodename_file !== undefined && conf.nodename_file !== "";
  const fileIsAgents = usesAgent(conf);
  return {
    name: conf.nodename || undefined,
    file: named ? conf.nodename_file : defaultFile,
    fileRequired: (named || fileIsAgents) && conf.nodename_file_optional !== true,
    fileIsAgents,
    fallback: conf.hostname || undefined,
  };
}

/** Throws `CniError` 7 if a file that the configuration names is missing or empty, or if the name is not valid. */
export function nodename(conf: NodenameConf, sys: Sys): string {
  if (conf.name !== undefined) return checked(conf.name, '"nodename"');
  const name = fromFile(conf, sys);
  if (name !== undefined)
    return checked(name, `nodename_file "${conf.file}"`, 'write such a name into it, or set "nodename"');
  if (conf.fallback !== undefined) return checked(conf.fallback, '"hostname"');
  return checked(sys.hostname().trim().toLowerCase(), "the host name");
}

/** Checks the names in the configuration, even if they are not used. Throws `CniError` 7. */
export function checkNodename({ name, fallback }: NodenameConf): void {
  if (name !== undefined) checked(name, '"nodename"');
  else if (fallback !== undefined) checked(fallback, '"hostname"');
}

function checked(name: string, source: string, remedy?: string): string {
  const fault = nodenameFault(name, source, remedy);
  if (fault === undefined) return name;
  throw new CniError(code.invalidConfig, fault);
}

/** Why a name cannot be a node's, as an error message; `undefined` if it can. `source`: where it was read; `remedy`: how to give another. */
export function nodenameFault(
  name: string,
  source: string,
  remedy = 'set "nodename" to such a name',
): string | undefined {
  if (isDnsSubdomain(name)) return undefined;
  const rule = 'a node\'s name contains only lower-case letters, digits, "-" and "."';
  return `${cannotDetermine}: ${source} is ${JSON.stringify(name)}, but ${rule}; ${remedy}`;
}

const cannotDetermine = "cannot determine the node's name";

/** Trims white space: a trailing newline must not make another node name (Calico keeps it). */
function fromFile({ file, fileRequired, fileIsAgents }: NodenameConf, sys: Sys): string | undefined {
  const name = readFile(file, sys)?.trim();
  if (name !== undefined && name !== "") return name;
  if (!fileRequired) return undefined;
  if (fileIsAgents) {
    const state = name === undefined ? "missing" : "empty";
    throw new CniError(
      code.tryAgainLater,
      `${cannotDetermine}: nodename_file "${file}" is ${state}; tortie-node writes it when it is ready: ${whereAgentIs}`,
    );
  }
  throw unknown(
    `nodename_file "${file}" is ${name === undefined ? "missing" : "empty"}; ` +
      'write the name into it, set "nodename", or set "nodename_file_optional" to true',
  );
}

/** `undefined` if there is none. Tests for the file first, because most nodes have none and an exception is expensive. */
function readFile(file: string, sys: Sys): string | undefined {
  const stat = sys.stat(file);
  if (stat === undefined) return undefined;
  if (stat.kind === "file") return sys.readFile(file);
  const kind = stat.kind === "directory" ? "a directory" : "not a regular file";
  throw unknown(`nodename_file "${file}" is ${kind}; remove it and write the name into a file, or set "nodename"`);
}

function unknown(reason: string): CniError {
  return new CniError(code.invalidConfig, `${cannotDetermine}: ${reason}`);
}
