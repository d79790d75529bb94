/** What the steps of all places need. */
import type { Hop, Link, Lookup } from "./facts.ts";

/** A step, whose place its caller adds. */
export type Judged = Pick<Hop, "what" | "text" | "verdict" | "remedy">;

/** A remedy: what the plugins made is theirs to repair. */
export const repair = "tortie doctor --fix";
/** A remedy. */
export const askAgent = "tortie node status   # the agent makes this entry; see its log too";

/** An interface of the node. */
export function linkHop(link: Link | undefined, what: string, remedy: string): Judged {
  if (link === undefined) return { what, text: "is missing", verdict: "wrong", remedy };
  if (!link.isUp) return { what, text: "is down", verdict: "wrong", remedy: `ip link set ${what} up` };
  if (!link.hasCarrier)
    return { what, text: "has no carrier: its other end is down or gone", verdict: "wrong", remedy };
  return { what, text: `${link.mac === undefined ? "" : `${link.mac}, `}MTU ${link.mtu}`, verdict: "good" };
}

/** `192.168.61.64/26 via 192.168.61.64 dev vxlan.calico`. */
export function describeRoute({ via, gateway, dev }: Extract<Lookup, { kind: "route" }>): string {
  return `${via === undefined ? "" : `${via} `}${gateway === undefined ? "" : `via ${gateway} `}dev ${dev}`;
}
