/**
 * The environment of a request (specification 1.1.0, section 2 "Parameters"), as the reference skeleton judges it.
 *
 * Variables are read in the order of the table. A bad value is reported at once, before what is missing; all that is missing is reported
 * together. A variable that is set but empty is missing; one that the command does not need is not judged.
 */
import { interfaceNameFault } from "../net/interface-name.ts";
import { CniError, code } from "./error.ts";

export const commands = ["ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"] as const;

export type Command = (typeof commands)[number];

export interface Environment {
  /** As it came; may be none of `commands`, which is judged after the document. */
  readonly command: string;
  /** Empty where the command does not need it. */
  readonly containerId: string;
  readonly netns: string;
  readonly ifname: string;
  readonly args: string;
  readonly path: string;
  /** CNI_NETNS may be the plugin's own namespace. */
  readonly netnsOverride: boolean;
  /** TRACEPARENT of W3C Trace Context, as it came: libcni sets it where the runtime traces. */
  readonly traceparent: string;
}

/** Throws `CniError` 4. CNI_COMMAND must be there (without it a plugin is not asked as one). */
export function readEnvironment(env: Readonly<Record<string, string>>): Environment {
  const command = env.CNI_COMMAND ?? "";
  const missing: string[] = [];
  for (const { name, requiredBy, judge } of variables) {
    if (!requiredBy.includes(command as Command)) continue;
    const value = env[name] ?? "";
    if (value === "") missing.push(name);
    else judge?.(value);
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

/** Container IDs and network names (specification sections 1 and 2). They are safe as file names, and hold neither `/` nor `:`. */
export function isIdentifier(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text);
}

interface Variable {
  readonly name: string;
  readonly requiredBy: readonly Command[];
  /** Throws what the reference skeleton answers to a bad value. */
  readonly judge?: (value: string) => void;
}

/**
 * CNI_PATH is optional in the specification but for GC, and required by the reference; here a delegate that is not found names it.
 * CNI_ARGS and CNI_NETNS_OVERRIDE are optional everywhere.
 */
const variables: readonly Variable[] = [
  { name: "CNI_CONTAINERID", requiredBy: ["ADD", "DEL", "CHECK"], judge: judgeContainerId },
  { name: "CNI_NETNS", requiredBy: ["ADD", "CHECK"] },
  { name: "CNI_IFNAME", requiredBy: ["ADD", "DEL", "CHECK"], judge: judgeInterfaceName },
  { name: "CNI_PATH", requiredBy: ["GC"] },
];

function judgeContainerId(value: string): void {
  if (!isIdentifier(value)) {
    throw new CniError(code.badEnvironment, "invalid characters in containerID", value);
  }
}

function judgeInterfaceName(value: string): void {
  // What the host made of bytes that are not UTF-8: the interface would get another name than the runtime's.
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
