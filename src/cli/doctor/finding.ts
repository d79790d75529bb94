/** What is wrong with a node, and what repairs it: data, as people and programs get it. */

import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { Part } from "../../endpoint/part.ts";
import type { Attachment } from "../../identity/attachment.ts";
import type { Problem } from "../../ipam/check/report.ts";

/** In the order in which they are told. */
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
  /** What it is about; with the id it tells one finding from another. */
  readonly subject: string;
  /** What is wrong and why it matters, as the end of a sentence that begins with the subject. */
  readonly text: string;
  /** What repairs it: lines for a shell; one that is for people to do begins with `#`. */
  readonly remedy: string;
  /** What `--fix` does; absent where it is for people to decide. */
  readonly fix?: Fix;
}

export type Fix =
  /** Plugins are called in this order; the later ones even when an earlier one fails. */
  | { readonly kind: "plugins"; readonly calls: readonly PluginCall[] }
  /** ADD of plugins of one chain, in this order, each with the result of the one before. */
  | { readonly kind: "chain"; readonly calls: readonly ChainCall[] }
  /** Programs are run in this order, up to the first that fails. `does`: what they do together, in the past tense, where they are long. */
  | { readonly kind: "programs"; readonly argvs: readonly (readonly string[])[]; readonly does?: string }
  | { readonly kind: "record"; readonly endpoint: Endpoint }
  | { readonly kind: "address"; readonly problem: Problem }
  /** An empty block that another node's name keeps, given up. */
  | { readonly kind: "reclaim"; readonly node: string; readonly cidr: string }
  /** Unused files, removed under the store's lock. */
  | { readonly kind: "remove"; readonly paths: readonly string[] };

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
  /** What the runtime asked of the plugin, which is to be on record afterwards too; nothing is, where nobody knows. */
  readonly part: Part | undefined;
}

/** `network/container/interface`. */
export function subjectOfAttachment({ network, containerId, ifname }: Attachment): string {
  return `${network}/${containerId}/${ifname}`;
}

/** What was not checked: told whatever else is found. */
export interface Note {
  readonly section: Section;
  /** Whose; empty where it is of the whole node. */
  readonly subject: string;
  /** What of it, and why. Those that share it are told together. */
  readonly text: string;
}

/** By which one look's note is found in another's. */
export function titleOfNote({ section, subject, text }: Note): string {
  return `${section} ${subject} ${text}`;
}

/** By which one look's finding is found in another's. */
export function titleOf({ id, subject }: Finding): string {
  return `${id} ${subject}`;
}
