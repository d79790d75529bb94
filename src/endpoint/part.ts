/**
 * The request of one plugin of a chain for one attachment: its part of the attachment's record.
 *
 *     /run/tortie/parts/<network>:<containerID>:<ifname>:<type>.json
 *
 * With all parts of an attachment, `tortie doctor` can check and repeat its ADD without the runtime, which alone knew the host ports and limits.
 * **DEL and GC need none of them.**
 *
 * One file per plugin: an ADD writes one, a DEL unlinks one, nothing is read, and no plugin changes the file of another. Like the endpoint's
 * record it is written before the kernel is touched and removed last.
 */

import { isErrno, type Sys } from "../host/sys.ts";
import { type Attachment, attachmentKey } from "../identity/attachment.ts";
import { runDir } from "../identity/names.ts";
import { inDirectory, isRecord, namesIn, recordMode, removeRecord } from "./files.ts";
import { formatOrigin, type Origin, originOf, parseOrigin } from "./origin.ts";

export interface Part {
  /** The plugin. */
  readonly type: string;
  readonly attachment: Attachment;
  /** The sandbox's path, from the runtime. */
  readonly netns: string;
  readonly origin: Origin | undefined;
  /** CNI_ARGS. */
  readonly args: string;
  /** The plugin's stdin, with `runtimeConfig`, without `prevResult`. */
  readonly document: Readonly<Record<string, unknown>>;
}

/** Never change: upgrades depend on it. */
export const partDirectory = `${runDir}/parts`;

/**
 * Writes the part and replaces an earlier one. Returns the roll-back. Throws if others than root can write to /run/tortie, because `tortie
 * doctor` executes parts again.
 */
export function writePart(sys: Sys, part: Omit<Part, "origin">): () => void {
  const path = pathOf(part);
  const text = textOf(part, originOf(sys));
  const earlier = sys.stat(path) === undefined ? undefined : sys.readFile(path, "refused");
  if (earlier === text) return () => {};
  sys.trustDirectory(runDir);
  const put = (what: string) => {
    // Removed and created rather than replaced: a killed process leaves no half-written file.
    if (earlier !== undefined) removeRecord(sys, path);
    inDirectory(sys, partDirectory, () => createOnce(sys, path, what));
  };
  put(text);
  return () => (earlier === undefined ? removeRecord(sys, path) : put(earlier));
}

/** If two calls for one attachment run at once (no runtime should do this), the part of either is valid. */
function createOnce(sys: Sys, path: string, text: string): void {
  try {
    sys.createFile(path, text, recordMode);
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
  }
}

/** A missing part is success. */
export function removePart(sys: Sys, part: Pick<Part, "type" | "attachment">): void {
  // Tests for the file first, because most have none and an exception is expensive.
  if (hasPart(sys, part)) removeRecord(sys, pathOf(part));
}

/** Removes the plugin's parts of those attachments of a network that are not valid. */
export function collectParts(sys: Sys, type: string, network: string, valid: readonly Attachment[]): void {
  const kept = new Set(valid.map((attachment) => fileOf({ type, attachment })));
  for (const name of namesIn(sys, partDirectory)) {
    if (!name.endsWith(`:${type}.json`) || kept.has(name) || networkIn(sys, name) !== network) continue;
    removeRecord(sys, `${partDirectory}/${name}`);
  }
}

/** From the name of the file, or from its content if the name contains a digest. */
function networkIn(sys: Sys, name: string): string | undefined {
  if (!name.startsWith("~")) return name.slice(0, name.indexOf(":"));
  try {
    return readPart(sys, name)?.attachment.network;
  } catch {
    return undefined;
  }
}

/** The names of all files that `readPart` can read. */
export function partNames(sys: Sys): readonly string[] {
  return namesIn(sys, partDirectory).filter(isRecord);
}

/** Whether the plugin has a part for the attachment: one system call. */
export function hasPart(sys: Sys, part: Pick<Part, "type" | "attachment">): boolean {
  return sys.stat(pathOf(part)) !== undefined;
}

/** Whether any plugin has a part for the attachment. */
export function hasAnyPart(sys: Sys, attachment: Attachment): boolean {
  const start = `${attachmentKey(attachment)}:`;
  return partNames(sys).some((name) => name.startsWith(start));
}

/** `undefined` if it does not exist. Throws `Error` if it is not a part. */
export function readPart(sys: Sys, name: string): Part | undefined {
  const path = `${partDirectory}/${name}`;
  if (sys.stat(path) === undefined) return undefined;
  const { type, network, containerID, ifname, netns, namespaces, args, document } = JSON.parse(
    sys.readFile(path, "refused"),
  ) as Readonly<Record<string, unknown>>;
  const texts = [type, network, containerID, ifname, netns, args];
  if (!texts.every((text) => typeof text === "string") || typeof document !== "object" || document === null) {
    throw new Error("it does not record owners");
  }
  const attachment = { network, containerId: containerID, ifname } as Attachment;
  return { type, attachment, netns, args, document, origin: parseOrigin(namespaces) } as Part;
}

/** The request of a plugin for an attachment; `undefined` if there is no readable part. */
export function findPart(sys: Sys, part: Pick<Part, "type" | "attachment">): Part | undefined {
  try {
    return readPart(sys, fileOf(part));
  } catch {
    return undefined;
  }
}

/** All readable parts. */
export function listParts(sys: Sys): readonly Part[] {
  return partNames(sys).flatMap((name) => {
    try {
      return readPart(sys, name) ?? [];
    } catch {
      return [];
    }
  });
}

function textOf({ type, attachment, netns, args, document }: Omit<Part, "origin">, origin: Origin | undefined): string {
  const { network, containerId: containerID, ifname } = attachment;
  const namespaces = origin && formatOrigin(origin);
  const recorded = Object.fromEntries(Object.entries(document).filter(([key]) => key.toLowerCase() !== "prevresult"));
  return `${JSON.stringify({ type, network, containerID, ifname, netns, namespaces, args, document: recorded })}\n`;
}

function pathOf(part: Pick<Part, "type" | "attachment">): string {
  return `${partDirectory}/${fileOf(part)}`;
}

function fileOf({ type, attachment }: Pick<Part, "type" | "attachment">): string {
  return `${attachmentKey(attachment)}:${type}.json`;
}
