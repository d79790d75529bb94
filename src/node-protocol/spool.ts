/**
 * Messages that wait for the node agent: a DEL could not deliver them.
 *
 *     plugin ── release, delete-endpoint ──► /var/lib/tortie/spool/<network>:<containerID>:<ifname>:<op>.json ──► tortie-node
 *
 * **A file is synced to the disk before the DEL succeeds**, and removed after the agent has executed its message. Executing it twice is harmless.
 * An ADD of the same attachment waits for it (`src/agent/spool.ts`).
 */
import type { Sys } from "../host/sys.ts";
import { type Attachment, attachmentKey } from "../identity/attachment.ts";
import { type SpooledMessage, spoolDirectory } from "./messages.ts";

const fileMode = 0o600;
const directoryMode = 0o700;
const suffix = ".json";
export const spooledOps = ["release", "delete-endpoint"] as const;

export function spoolFile(attachment: Attachment, op: SpooledMessage["op"]): string {
  return `${spoolDirectory}/${attachmentKey(attachment)}:${op}${suffix}`;
}

/** The files of waiting messages, in any order; none if there is no spool yet. */
export function spoolFiles(sys: Sys): readonly string[] {
  if (sys.stat(spoolDirectory) === undefined) return [];
  const names = sys.listDir(spoolDirectory).filter((name) => name.endsWith(suffix) && !name.startsWith("."));
  return names.map((name) => `${spoolDirectory}/${name}`);
}

export function spool(sys: Sys, attachment: Attachment, message: SpooledMessage): void {
  sys.makeDirs(spoolDirectory, directoryMode);
  const text = `${JSON.stringify(message)}\n`;
  sys.replaceFile(spoolFile(attachment, message.op), text, { mode: fileMode, durable: true });
}
