/**
 * The comment by which the iptables back end, as the reference's, tells whose an entry is:
 *
 *     dnat name: "<network>" id: "<container ID>"             of eth0, what the reference was made for
 *     dnat name: "<network>" id: "<container ID>" if: "<interface>"
 *
 * Never change: upgrades find by it what an older release made. iptables-save prints it with its quotes escaped.
 */
import type { Attachment } from "../../src/identity/attachment.ts";

/** The interface that the reference plugin was made for: its texts have no interface name in them. */
export const referenceInterface = "eth0";
/** XT_MAX_COMMENT_LEN (linux/netfilter/xt_comment.h) without its NUL. */
const maxCommentLength = 255;

/** As iptables is told it; cut where it is too long. */
export function portmapComment({ network, containerId, ifname }: Attachment): string {
  const interfaceName = ifname === referenceInterface ? "" : ` if: "${ifname}"`;
  const comment = `dnat name: "${network}" id: "${containerId}"${interfaceName}`;
  return comment.length <= maxCommentLength ? comment : `${comment.slice(0, maxCommentLength - 3)}...`;
}

/** What the comments of one network's attachments begin with, as iptables-save prints them. */
export function portmapCommentPrefix(network: string): string {
  return `"dnat name: \\"${network}\\" id: `;
}

/** Whose a rule is that iptables-save printed; `undefined` when its comment does not say so. */
export function attachmentOfRule(rule: string): Attachment | undefined {
  const [, network, containerId, ifname = referenceInterface] =
    /dnat name: \\"(.*?)\\" id: \\"(.*?)\\"(?: if: \\"(.*?)\\")?/.exec(rule) ?? [];
  return network === undefined || containerId === undefined ? undefined : { network, containerId, ifname };
}
