/** Whose host ports a pod may take over: those of attachments that have ended, and whose DEL did not come or was not completed. */

import { parseArgs } from "../../src/cni/args.ts";
import { podOf } from "../../src/cni/pod.ts";
import { Executor } from "../../src/dataplane/executor.ts";
import { hasEndpoint, readEndpoint } from "../../src/endpoint/endpoint.ts";
import { findPart } from "../../src/endpoint/part.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import type { Pod } from "../../src/identity/pod.ts";
import { isSamePod } from "../../src/identity/pod.ts";

/** Whether another attachment, to which a mapping leads at this address, if that is known, has ended. */
export type HasEnded = (other: Attachment, address: string | undefined) => boolean;

/** What an ADD of the attachment knows of others. */
export function hasEndedFor(attachment: Attachment, args: Readonly<Record<string, string>>, sys: Sys): HasEnded {
  const pod = podOf(args);
  return (other, address) => isEarlierSandbox(other, attachment, pod, sys) || isAbandoned(other, address, sys);
}

/**
 * An earlier sandbox of the same pod, on the same network and interface (the runtime was killed, or the node's agent). What says so is the
 * endpoint's record that `calico` writes; behind another main plugin, the record of what this plugin was asked.
 */
function isEarlierSandbox(other: Attachment, attachment: Attachment, pod: Pod | undefined, sys: Sys): boolean {
  if (pod === undefined || other.containerId === attachment.containerId) return false;
  if (other.network !== attachment.network || other.ifname !== attachment.ifname) return false;
  const itsPod = readEndpoint(sys, other)?.pod ?? podAskedFor(sys, other);
  return itsPod !== undefined && isSamePod(itsPod, pod);
}

function podAskedFor(sys: Sys, attachment: Attachment): Pod | undefined {
  const part = findPart(sys, { type: "portmap", attachment });
  return part && podOf(parseArgs(part.args));
}

/**
 * No record, and no interface of this host leads to the address: a GC or DEL was killed when the main plugin was done and portmap was not. One
 * that is just being attached has its route before its host ports.
 */
function isAbandoned(other: Attachment, address: string | undefined, sys: Sys): boolean {
  return address !== undefined && !hasEndpoint(sys, other) && !new Executor(sys).node.isOnHost(address);
}
