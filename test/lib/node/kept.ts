/** What intentionally stays on a node after its last pod is deleted; everything else that stays is a leak. */

export interface Kept {
  readonly what: string;
  readonly why: string;
  /** Matches lines of a `diff` of snapshots. */
  readonly lines: RegExp;
}

export const kept: readonly Kept[] = [
  {
    what: "forwarding",
    why: "other pods and other tools may rely on it; nobody can tell who wanted it first",
    lines: /^[-+] sysctl (ipv4\/ip_forward|ipv[46]\/conf\/[^/]+\/(forwarding|accept_ra)) = /,
  },
  {
    what: "pools",
    why: "settings of the cluster, like those an administrator makes; they survive a reboot",
    lines: /^[-+] file \/var\/lib\/tortie\//,
  },
  {
    what: "this node's blocks, their affinities and cursors, the queue of those with room, lock files, empty directories",
    why: "the next pod takes the next address of the same block",
    lines: /^[-+] file \/run\/tortie\/(\S*\/ ?|ipam\/(blocks|affinities|cursors|open)\/\S* .*|\S*lock \d.*)?$/,
  },
  {
    what: "iptables' own tables with their built-in chains, empty",
    why: "iptables makes them at its first use and never removes them",
    lines:
      /^\+ (nft table ip6? (nat|raw)( \/ chain [A-Z]+( \/ type .*)?)?|ip6?tables \*(nat|raw) (\*(nat|raw)|:[A-Z]+ ACCEPT))$/,
  },
  {
    what: "the log",
    why: "it tells what happened",
    lines: /^[-+] file \/var\/log\/calico\//,
  },
];

/** The lines of a diff that are not explained. */
export function leaks(difference: string): readonly string[] {
  return difference.split("\n").filter((line) => line !== "" && !kept.some(({ lines }) => lines.test(line)));
}
