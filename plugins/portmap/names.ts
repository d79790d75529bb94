/** The persistent names of `portmap`. Never change: upgrades depend on it. */
import type { Attachment } from "../../src/identity/attachment.ts";
import { runDir } from "../../src/identity/names.ts";

/** The table of the port mappings, in families `ip` and `ip6`. */
export const portmapTable = "tortie_portmap";
/** The lock of the iptables back end. The file exists once that back end was used. */
export const iptablesLock = `${runDir}/iptables.lock`;
/** The only interface that the reference plugin expects: its comments do not name an interface. */
export const referenceInterface = "eth0";
/** XT_MAX_COMMENT_LEN (linux/netfilter/xt_comment.h) without its NUL. */
const maxCommentLength = 255;

/**
 * The comment that names the owner of a rule, in the iptables back end and in the reference plugin; cut to the kernel's limit:
 *
 *     dnat name: "<network>" id: "<container ID>"             for eth0
 *     dnat name: "<network>" id: "<container ID>" if: "<interface>"
 *
 * Upgrades use it to find the rules of older releases.
 */
export function portmapComment({ network, containerId, ifname }: Attachment): string {
  const interfaceName = ifname === referenceInterface ? "" : ` if: "${ifname}"`;
  const comment = `dnat name: "${network}" id: "${containerId}"${interfaceName}`;
  return comment.length <= maxCommentLength ? comment : `${comment.slice(0, maxCommentLength - 3)}...`;
}

/** The prefix of the comments of a network's attachments, as iptables-save prints it, with escaped quotes. */
export function portmapCommentPrefix(network: string): string {
  return `"dnat name: \\"${network}\\" id: `;
}

/** The attachment that owns a rule printed by iptables-save; `undefined` if the comment names none. */
export function attachmentOfRule(rule: string): Attachment | undefined {
  const [, network, containerId, ifname = referenceInterface] =
    /dnat name: \\"(.*?)\\" id: \\"(.*?)\\"(?: if: \\"(.*?)\\")?/.exec(rule) ?? [];
  return network === undefined || containerId === undefined ? undefined : { network, containerId, ifname };
}
