/** A problem of a node and its remedy, as data for people and programs. */

import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { Part } from "../../endpoint/part.ts";
import type { Attachment } from "../../identity/attachment.ts";
import type { Problem } from "../../ipam/check/report.ts";

/** In the order of the report. */
export const sections = [
  "kernel",
  "executables",
  "networks",
  "state",
  "locks",
  "attachments",
  "firewall",
  "limits",
  "addresses",
  "reach",
] as const;

export type Section = (typeof sections)[number];

export interface Finding {
  /** Kebab-case. Never change: scripts match on it. */
  readonly id: string;
  readonly section: Section;
  /** A warning does no harm as things are: it does not make the exit status 3. */
  readonly severity: "error" | "warning";
  /** Its object; the ID and the subject together identify a finding. */
  readonly subject: string;
  /** The problem and its effect, as the end of a sentence that begins with the subject. */
  readonly text: string;
  /** The remedy: lines for a shell; a line that a person must act on begins with `#`. */
  readonly remedy: string;
  /** What `--fix` does; absent if an operator must decide. */
  readonly fix?: Fix;
}

export type Fix =
  /** Calls the plugins in this order; continues after a failure. */
  | { readonly kind: "plugins"; readonly calls: readonly PluginCall[] }
  /** ADD of the plugins of one chain, in this order, each with the result of the one before. */
  | { readonly kind: "chain"; readonly calls: readonly ChainCall[] }
  /** Runs the programs in this order, up to the first failure. `does`: a short description of all of them, in the past tense. */
  | { readonly kind: "programs"; readonly argvs: readonly (readonly string[])[]; readonly does?: string }
  | { readonly kind: "record"; readonly endpoint: Endpoint }
  | { readonly kind: "address"; readonly problem: Problem }
  /** Releases an empty block of another node name. */
  | { readonly kind: "reclaim"; readonly node: string; readonly cidr: string }
  /** Removes unused files under the store's lock. */
  | { readonly kind: "remove"; readonly paths: readonly string[] };

/** What `--fix` did, or would do. */
export interface Step {
  /** What many steps have in common, for their sum: `called DEL of portmap`. */
  readonly kind: string;
  /** The line that says it. */
  readonly text: string;
}

export interface PluginCall {
  /** The path of the executable. */
  readonly path: string;
  readonly command: "ADD" | "CHECK" | "DEL" | "GC" | "STATUS" | "VERSION";
  readonly attachment?: Attachment;
  readonly netns?: string;
  /** CNI_ARGS. */
  readonly args?: string;
  /** CNI_PATH. */
  readonly pluginPath: string;
  readonly document: Readonly<Record<string, unknown>>;
}

export interface ChainCall extends PluginCall {
  /** The runtime's request to the plugin, to be recorded afterwards; `undefined` if unknown. */
  readonly part: Part | undefined;
}

/** `network/container/interface`. */
export function subjectOfAttachment({ network, containerId, ifname }: Attachment): string {
  return `${network}/${containerId}/${ifname}`;
}

/** Something that was not checked; reported in any case. */
export interface Note {
  readonly section: Section;
  /** The subject; empty for the whole node. */
  readonly subject: string;
  /** What was not checked, and why. Notes with equal texts are reported together. */
  readonly text: string;
}

/** Identifies a note across looks. */
export function titleOfNote({ section, subject, text }: Note): string {
  return `${section} ${subject} ${text}`;
}

/** Identifies a finding across looks. */
export function titleOf({ id, subject }: Finding): string {
  return `${id} ${subject}`;
}

/** Makes findings of a section that an administrator resolves. */
export function findingsIn(section: Section) {
  return (
    id: string,
    subject: string,
    text: string,
    remedy: string,
    severity: Finding["severity"] = "error",
  ): Finding => ({ id, section, severity, subject, text, remedy });
}
