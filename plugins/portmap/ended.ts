/** A pod may take over host ports of attachments that have ended without a complete DEL. */

import { parseArgs } from "../../src/cni/args.ts";
import { podOf } from "../../src/cni/pod.ts";
import { NodeFacts } from "../../src/dataplane/node-facts.ts";
import { hasEndpoint, readEndpoint } from "../../src/endpoint/endpoint.ts";
import { findPart } from "../../src/endpoint/part.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import type { Pod } from "../../src/identity/pod.ts";
import { isSamePod } from "../../src/identity/pod.ts";

/** Tells whether the attachment that a mapping leads to has ended. `address`: the mapping's destination, if known. */
export type HasEnded = (other: Attachment, address: string | undefined) => boolean;

/** The test that an ADD of this attachment applies to others. */
export function hasEndedFor(attachment: Attachment, args: Readonly<Record<string, string>>, sys: Sys): HasEnded {
  const pod = podOf(args);
  return (other, address) => isEarlierSandbox(other, attachment, pod, sys) || isAbandoned(other, address, sys);
}

/**
 * An earlier sandbox of the same pod, on the same network and interface, that the runtime never deleted. The endpoint record of `calico` names
 * the pod; behind another main plugin, this plugin's own part does.
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
 * There is no record and no route to the address: a GC or DEL was killed between the main plugin and portmap. (A pod that is being attached
 * has its route before its host ports.)
 */
function isAbandoned(other: Attachment, address: string | undefined, sys: Sys): boolean {
  return address !== undefined && !hasEndpoint(sys, other) && !new NodeFacts(sys).isOnHost(address);
}
