/**
 * The environment of a request (specification 1.1.0, section 2 "Parameters"), validated as by libcni's skeleton.
 *
 * Variables are read in the order of the table. An invalid value is reported before missing variables; these are reported together. A
 * variable that is set but empty counts as missing. One that the command does not need is not validated.
 */
import { interfaceNameFault } from "../net/interface-name.ts";
import { CniError, code } from "./error.ts";

export const commands = ["ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"] as const;

export type Command = (typeof commands)[number];

export interface Environment {
  /** Not validated here: an unknown command is reported after errors in the configuration. */
  readonly command: string;
  /** Empty if the command does not need it. */
  readonly containerId: string;
  readonly netns: string;
  readonly ifname: string;
  readonly args: string;
  readonly path: string;
  /** CNI_NETNS may be the plugin's own namespace. */
  readonly netnsOverride: boolean;
  /** TRACEPARENT of W3C Trace Context, not validated; libcni sets it if the runtime traces. */
  readonly traceparent: string;
}

/** Throws `CniError` 4. CNI_COMMAND must be set (without it the program was not started as a plugin). */
export function readEnvironment(env: Readonly<Record<string, string>>): Environment {
  const command = env.CNI_COMMAND ?? "";
  const missing: string[] = [];
  for (const { name, requiredBy, check } of variables) {
    if (!requiredBy.includes(command as Command)) continue;
    const value = env[name] ?? "";
    if (value === "") missing.push(name);
    else check?.(value);
  }
  if (missing.length > 0) throw new CniError(code.badEnvironment, `required env variables [${missing}] missing`);
  return {
    command,
    containerId: env.CNI_CONTAINERID ?? "",
    netns: env.CNI_NETNS ?? "",
    ifname: env.CNI_IFNAME ?? "",
    args: env.CNI_ARGS ?? "",
    path: env.CNI_PATH ?? "",
    netnsOverride: /^(true|1)$/i.test(env.CNI_NETNS_OVERRIDE ?? ""),
    traceparent: env.TRACEPARENT ?? "",
  };
}

/** Container IDs and network names (specification sections 1 and 2). They are safe as file names, and contain neither `/` nor `:`. */
export function isIdentifier(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text);
}

interface Variable {
  readonly name: string;
  readonly requiredBy: readonly Command[];
  /** Throws the error of libcni's skeleton for an invalid value. */
  readonly check?: (value: string) => void;
}

/**
 * The specification requires CNI_PATH for GC only, libcni's skeleton always; here the error for a delegate that is not found names it.
 * CNI_ARGS and CNI_NETNS_OVERRIDE are always optional.
 */
const variables: readonly Variable[] = [
  { name: "CNI_CONTAINERID", requiredBy: ["ADD", "DEL", "CHECK"], check: checkContainerId },
  { name: "CNI_NETNS", requiredBy: ["ADD", "CHECK"] },
  { name: "CNI_IFNAME", requiredBy: ["ADD", "DEL", "CHECK"], check: checkInterfaceName },
  { name: "CNI_PATH", requiredBy: ["GC"] },
];

function checkContainerId(value: string): void {
  if (!isIdentifier(value)) {
    throw new CniError(code.badEnvironment, "invalid characters in containerID", value);
  }
}

function checkInterfaceName(value: string): void {
  // The host replaces bytes that are not UTF-8 by U+FFFD: the interface would get a different name.
  if (value.includes("\ufffd")) throw new CniError(code.badEnvironment, "interface name is not UTF-8");
  const fault = interfaceNameFault(value);
  if (fault === "too long") {
    const limit = "interface name should be less than 16 characters";
    throw new CniError(code.badEnvironment, "interface name is too long", limit);
  }
  if (fault === "dots") throw new CniError(code.badEnvironment, "interface name is . or ..");
  if (fault !== undefined) {
    throw new CniError(code.badEnvironment, "interface name contains / or : or whitespace characters");
  }
}
