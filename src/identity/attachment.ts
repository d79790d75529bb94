/**
 * The identity of an attachment, and the two texts derived from it: the owner in kernel objects and the key in file names.
 *
 * Network names, container IDs and interface names contain neither `/` nor `:`, so no two attachments have the same text. (The reference
 * plugins join names without a separator, so `"a"+"bc"` equals `"ab"+"c"`.)
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
/** A file name takes 255 bytes; this leaves room for suffixes. */
const maxKeyLength = 200;

/** `tortie:<network>/<containerID>/<ifname>`; if that is too long for an alias, a digest replaces the last two parts. */
export function ownerOf({ network, containerId, ifname }: Attachment): string {
  const owner = `${ownerPrefixOf(network)}${containerId}/${ifname}`;
  return owner.length <= maxOwnerLength ? owner : `${ownerPrefixOf(network)}~${sha256(owner)}`;
}

/** The attachment that an owner names; `undefined` if the text is not an owner, or contains a digest. */
export function attachmentOf(owner: string): Attachment | undefined {
  const [network, containerId, ifname, ...more] = owner.slice(ownerPrefix.length).split("/");
  const isWhole = owner.startsWith(ownerPrefix) && !owner.includes("~") && more.length === 0;
  if (!isWhole || !network || !containerId || !ifname) return undefined;
  return { network, containerId, ifname };
}

/** The common prefix of the owners of one network's attachments, which no owner of another network has. */
export function ownerPrefixOf(network: string): string {
  const prefix = `${ownerPrefix}${network}/`;
  return prefix.length <= 120 ? prefix : `${ownerPrefix}~${sha256(network)}/`;
}

/** `<network>:<containerID>:<ifname>`, for names of files of the attachment; a digest if that is too long. */
export function attachmentKey({ network, containerId, ifname }: Attachment): string {
  const key = `${network}:${containerId}:${ifname}`;
  return key.length <= maxKeyLength ? key : `~${sha256(key)}`;
}
