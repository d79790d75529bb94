/** What the steps of all places need. */
import { sysctlName } from "../doctor/reach/sysctl.ts";
import type { Hop, Link, Lookup, Refuser, TraceFacts } from "./facts.ts";

/** A step, whose place its caller adds. */
export type Judged = Pick<Hop, "what" | "text" | "verdict" | "remedy">;

/** A remedy: what the plugins made is theirs to repair. */
export const repair = "tortie doctor --fix";
/** A remedy. */
export const askAgent = "tortie node status   # the agent makes this entry; see its log too";

/** A step that nothing is known of. */
export function unchecked(what: string, text: string): Judged {
  return { what, text, verdict: "unchecked" };
}

/** Of a route that could not be asked for. */
export function unaskedText({ reason }: Extract<Lookup, { kind: "unasked" }>): string {
  return `could not be asked for${reason === undefined ? "" : `: ${reason}`}`;
}

/** An interface of the node. */
export function linkHop({ links }: Pick<TraceFacts, "links">, what: string, remedy: string): Judged {
  if (links === undefined) return unchecked(what, "the node's interfaces could not be read");
  const link = links.get(what);
  if (link === undefined) return { what, text: "is missing", verdict: "wrong", remedy };
  if (!link.isUp) return { what, text: "is down", verdict: "wrong", remedy: `ip link set ${what} up` };
  if (!link.hasCarrier)
    return { what, text: "has no carrier: its other end is down or gone", verdict: "wrong", remedy };
  return { what, text: describeLink(link), verdict: "good" };
}

function describeLink({ mac, mtu }: Link): string {
  return `${mac === undefined ? "" : `${mac}, `}MTU ${mtu}`;
}

/** `192.168.61.64/26 via 192.168.61.64 dev vxlan.calico`. */
export function describeRoute({ via, gateway, dev, table }: Extract<Lookup, { kind: "route" }>): string {
  const behind = table === undefined || table === "main" ? "" : ` table ${table}`;
  return `${via === undefined ? "" : `${via} `}${gateway === undefined ? "" : `via ${gateway} `}dev ${dev}${behind}`;
}

export interface Refused {
  readonly text: string;
  /** `undefined`: the cause is not known. */
  readonly remedy: string | undefined;
}

/** Why the kernel refused a packet that arrived at an interface: a rule or a route by its name, or the reverse path filter. */
export function refusedBy(
  { sysctls, family }: Pick<TraceFacts, "sysctls" | "family">,
  { reason, by }: { readonly reason: string; readonly by?: Refuser },
  { from, iif }: { readonly from: string; readonly iif: string },
): Refused {
  if (by !== undefined) return { text: `${reason}: ${by.name} refuses it`, remedy: by.remedy };
  if (family === 4 && /cross-device|Invalid argument/.test(reason)) {
    const paths = ["all", iif].map((link) => `net/ipv4/conf/${link}/rp_filter`);
    const values = paths.map((path) => sysctls.get(path));
    const strict = Math.max(...values.map(Number)) === 1;
    const text = `the reverse path filter of ${iif} refuses ${from}${strict ? " (rp_filter=1: strict)" : ""}`;
    const loose = `sysctl -w ${sysctlName(paths[1] ?? "")}=2   # or lead ${from} back by ${iif}`;
    return { text: `${reason}: ${text}`, remedy: strict ? loose : `ip route get ${from}; ip rule` };
  }
  return { text: reason, remedy: undefined };
}
