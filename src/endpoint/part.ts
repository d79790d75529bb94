/**
 * The request of one plugin of a chain for one attachment: its part of the attachment's record.
 *
 *     /run/tortie/parts/<network>:<containerID>:<ifname>:<type>.json
 *
 * The parts of an attachment together say how all of it can be checked and made once more, when the runtime, which alone knew the host ports
 * and limits, does not say it again (`tortie doctor`). **DEL and GC need none of it.**
 *
 * A file for each plugin: one write in an ADD, one unlink in a DEL, nothing to read, and nobody changes what another wrote. As the endpoint's
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
  /** The sandbox's path, as the runtime gave it. */
  readonly netns: string;
  readonly origin: Origin | undefined;
  /** CNI_ARGS. */
  readonly args: string;
  /** What the plugin got on stdin, with `runtimeConfig`, without `prevResult`. */
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
    // Not replaced, but removed and created: a process that is killed leaves nothing that is half written.
    if (earlier !== undefined) removeRecord(sys, path);
    inDirectory(sys, partDirectory, () => createOnce(sys, path, what));
  };
  put(text);
  return () => (earlier === undefined ? removeRecord(sys, path) : put(earlier));
}

/** If two calls for one attachment run at once (no runtime should do this), either's part is fine. */
function createOnce(sys: Sys, path: string, text: string): void {
  try {
    sys.createFile(path, text, recordMode);
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
  }
}

/** That there is none is success. */
export function removePart(sys: Sys, part: Pick<Part, "type" | "attachment">): void {
  const path = pathOf(part);
  // Tests for the file first, because most have none and an exception is expensive.
  if (sys.stat(path) !== undefined) removeRecord(sys, path);
}

/** Removes the plugin's parts of those attachments of a network that are not valid. */
export function collectParts(sys: Sys, type: string, network: string, valid: readonly Attachment[]): void {
  const kept = new Set(valid.map((attachment) => fileOf({ type, attachment })));
  for (const name of namesIn(sys, partDirectory)) {
    if (!name.endsWith(`:${type}.json`) || kept.has(name) || networkIn(sys, name) !== network) continue;
    removeRecord(sys, `${partDirectory}/${name}`);
  }
}

/** By its name; what has a digest for a name tells it inside. */
function networkIn(sys: Sys, name: string): string | undefined {
  if (!name.startsWith("~")) return name.slice(0, name.indexOf(":"));
  try {
    return readPart(sys, name)?.attachment.network;
  } catch {
    return undefined;
  }
}

/** Names of all files that `readPart` takes. */
export function partNames(sys: Sys): readonly string[] {
  return namesIn(sys, partDirectory).filter(isRecord);
}

/** `undefined` when it is gone. Throws `Error` when it is no part. */
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

/** What a plugin was asked for an attachment; `undefined` when that cannot be read. */
export function findPart(sys: Sys, part: Pick<Part, "type" | "attachment">): Part | undefined {
  try {
    return readPart(sys, fileOf(part));
  } catch {
    return undefined;
  }
}

/** All that can be read. */
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
  const told = Object.fromEntries(Object.entries(document).filter(([key]) => key.toLowerCase() !== "prevresult"));
  return `${JSON.stringify({ type, network, containerID, ifname, netns, namespaces, args, document: told })}\n`;
}

function pathOf(part: Pick<Part, "type" | "attachment">): string {
  return `${partDirectory}/${fileOf(part)}`;
}

function fileOf({ type, attachment }: Pick<Part, "type" | "attachment">): string {
  return `${attachmentKey(attachment)}:${type}.json`;
}
