/** The state of BGP sessions, from BIRD's `show protocols all`. */
import type { Family } from "../../net/address.ts";

export interface SessionStatus {
  readonly neighbour: string;
  readonly family: Family;
  readonly type: "node-to-node mesh" | "global" | "node specific";
  /** BIRD's state of the protocol: `up`, `start`, `down`. */
  readonly state: string;
  /** When the state began, as BIRD prints it. */
  readonly since: string;
  /** BGP's state (RFC 4271, 8.2.2), with BIRD's reason for the last failure: `Established`, `Active Socket: Connection refused`. */
  readonly info: string;
}

const types = { Mesh: "node-to-node mesh", Global: "global", Node: "node specific" } as const;

/** In BIRD's order, which is that of the configuration. */
export function parseSessions(text: string): readonly SessionStatus[] {
  const sessions: SessionStatus[] = [];
  const pattern = /^(Mesh|Global|Node)_\S+ +BGP +\S+ +(\S+) +(\S+(?: \d\d:\S+)?) *(.*)\n((?:[ \t].*\n?|\n)*)/gm;
  for (const [, prefix, state = "", since = "", info = "", details = ""] of text.matchAll(pattern)) {
    const neighbour = /^ *Neighbor address: (\S+?)(?:%\S+)?$/m.exec(details)?.[1] ?? "";
    const family = neighbour.includes(":") ? 6 : 4;
    const type = types[prefix as keyof typeof types];
    sessions.push({ neighbour, family, type, state, since, info: info.trim() });
  }
  return sessions;
}
