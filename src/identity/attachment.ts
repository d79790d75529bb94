/**
 * The identity of what a runtime attaches, and the two texts made of it: the owner that kernel objects carry and the key of files.
 *
 * Neither a network name nor a container ID may hold `/` or `:`, and an interface name holds neither: joined with them, no two
 * attachments share a text (the reference plugins join without a separator, so that `"a"+"bc"` equals `"ab"+"c"`).
 */

import { sha256 } from "../net/digest.ts";
import { ownerPrefix } from "./names.ts";

export interface Attachment {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}

/** An alias takes 255 bytes (IFALIASZ, linux/if.h). */
const maxOwnerLength = 255;
/** A file name takes 255 bytes; some room is left for suffixes. */
const maxKeyLength = 200;

/** `tortie:<network>/<containerID>/<ifname>`; its digest stands for the last two where that is too long for a link's alias. */
export function ownerOf({ network, containerId, ifname }: Attachment): string {
  const owner = `${ownerPrefixOf(network)}${containerId}/${ifname}`;
  return owner.length <= maxOwnerLength ? owner : `${ownerPrefixOf(network)}~${sha256(owner)}`;
}

/** The attachment that an owner names; `undefined` for a text that is no owner, or that has a digest in it. */
export function attachmentOf(owner: string): Attachment | undefined {
  const [network, containerId, ifname, ...more] = owner.slice(ownerPrefix.length).split("/");
  const isWhole = owner.startsWith(ownerPrefix) && !owner.includes("~") && more.length === 0;
  if (!isWhole || !network || !containerId || !ifname) return undefined;
  return { network, containerId, ifname };
}

/** What the owners of one network's attachments begin with; no other network's do. */
export function ownerPrefixOf(network: string): string {
  const prefix = `${ownerPrefix}${network}/`;
  return prefix.length <= 120 ? prefix : `${ownerPrefix}~${sha256(network)}/`;
}

/** `<network>:<containerID>:<ifname>`: the name of a file that belongs to the attachment; a digest where that is too long. */
export function attachmentKey({ network, containerId, ifname }: Attachment): string {
  const key = `${network}:${containerId}:${ifname}`;
  return key.length <= maxKeyLength ? key : `~${sha256(key)}`;
}
