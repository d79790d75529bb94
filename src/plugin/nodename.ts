/**
 * The node's name: what IPAM's affinities and the endpoints are filed under.
 *
 * Calico's order of sources: `nodename`, the nodename file, the deprecated `hostname`, the host name in lower case.
 */
import { CniError, code } from "../cni/error.ts";
import type { Sys } from "../host/sys.ts";

export interface NodenameConf {
  /** `nodename`. */
  readonly name: string | undefined;
  readonly file: string;
  /** Whether ADD fails while the file is missing. */
  readonly fileRequired: boolean;
  /** `hostname`, deprecated. */
  readonly fallback: string | undefined;
}

/** Where Calico's node agent writes the name. */
const defaultFile = "/var/lib/calico/nodename";

/** What is known without a valid configuration. */
export const defaultNodename: NodenameConf = {
  name: undefined,
  file: defaultFile,
  fileRequired: false,
  fallback: undefined,
};

/**
 * Renames the JSON keys. The default file may be missing: with the embedded store no node agent is needed, so nobody has to write it.
 * A file that the configuration names must exist, unless `nodename_file_optional` says otherwise.
 */
export function nodenameConf(conf: {
  readonly nodename?: string | undefined;
  readonly nodename_file?: string | undefined;
  readonly nodename_file_optional?: boolean | undefined;
  readonly hostname?: string | undefined;
}): NodenameConf {
  const named = conf.nodename_file !== undefined && conf.nodename_file !== "";
  return {
    name: conf.nodename || undefined,
    file: named ? conf.nodename_file : defaultFile,
    fileRequired: named && conf.nodename_file_optional !== true,
    fallback: conf.hostname || undefined,
  };
}

/** Throws `CniError` 7 when a file that the configuration names is missing or empty. */
export function nodename(conf: NodenameConf, sys: Sys): string {
  return conf.name ?? fromFile(conf, sys) ?? conf.fallback ?? sys.hostname().trim().toLowerCase();
}

/** White space around the name is cut: a file that ends in a newline must not make another node (Calico keeps it). */
function fromFile({ file, fileRequired }: NodenameConf, sys: Sys): string | undefined {
  const name = readFile(file, sys)?.trim();
  if (name !== undefined && name !== "") return name;
  if (!fileRequired) return undefined;
  throw new CniError(
    code.invalidConfig,
    `cannot tell the node's name: nodename_file "${file}" is ${name === undefined ? "missing" : "empty"}; ` +
      'write the name into it, set "nodename", or set "nodename_file_optional" to true',
  );
}

/** `undefined` when there is none. To look first is cheaper: most nodes have none, and an error has a stack to collect. */
function readFile(file: string, sys: Sys): string | undefined {
  return sys.stat(file) === undefined ? undefined : sys.readFile(file);
}
