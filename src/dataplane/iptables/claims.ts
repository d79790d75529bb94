/** Finds conflicts between an attachment's host ports and existing ones in iptables. */
import { lengthOf } from "../../net/prefix.ts";
import { entriesIn, type IptablesPorts, type PortClaim } from "../../plan/iptables.ts";
import { IptablesConflict } from "../errors.ts";

export interface PortHolder {
  readonly chain: string;
  /** The rule that leads into the chain, whose comment names the owner; `undefined` if there is none. */
  readonly entry: string | undefined;
  /** The destination of the port. */
  readonly address: string;
}

/** The caller's knowledge of the holders of host ports. */
export interface PortHolders {
  /** Whether the rule that leads into a chain belongs to another attachment: names of chains are digests and may collide. */
  isForeign(entry: string): boolean;
  /** Whether a holder has ended (its ports may be taken over), may share the port, or keeps it. */
  stateOf(holder: PortHolder): "ended" | "shares" | "has it";
}

/**
 * The chains that may be removed: they lead to the attachment's own address, or belong to an ended attachment. Throws `IptablesConflict` if
 * another attachment has one of the ports.
 */
export function removableChains(nat: readonly string[], ports: IptablesPorts, holders: PortHolders): readonly string[] {
  const { layout, claims, family, address } = ports;
  const stale = new Set<string>();
  const own = family === "ip" ? `${address}:` : `[${address}]:`;
  for (const rule of nat) {
    const match = /^-A (\S+)(?: -d (\S+))? -p (\S+) -m \S+ --dport (\d+) -j DNAT --to-destination (\S+)/.exec(rule);
    if (match === null || match[1] === ports.chain || !match[1]?.startsWith(layout.ownPrefix)) continue;
    const [, chain = "", destination, protocol, port, to = ""] = match;
    const taken = claims.find(
      (one) => one.protocol === protocol && one.hostPort === Number(port) && overlaps(one, destination),
    );
    const leadsHere = to.startsWith(own);
    if (taken === undefined && !leadsHere) continue;
    const entry = entryOf(ports, nat, chain);
    const state = leadsHere ? "ended" : holders.stateOf({ chain, entry, address: addressIn(to) });
    if (state === "ended") stale.add(chain);
    else if (taken !== undefined && state === "has it") throw new IptablesConflict(chain, entry, taken);
  }
  return [...stale];
}

/** Throws `IptablesConflict` if the chain with this name belongs to another attachment. */
export function refuseForeign(nat: readonly string[], ports: IptablesPorts, holders: PortHolders): void {
  const entry = entryOf(ports, nat, ports.chain);
  if (entry !== undefined && holders.isForeign(entry)) throw new IptablesConflict(ports.chain, entry);
}

function entryOf({ layout }: IptablesPorts, nat: readonly string[], chain: string): string | undefined {
  return entriesIn(layout, nat).find((one) => one.chain === chain)?.rule;
}

/** `192.0.2.1:80`, `[2001:db8::1]:80`. */
function addressIn(destination: string): string {
  return destination.slice(0, destination.lastIndexOf(":")).replace(/[[\]]/g, "");
}

function overlaps({ hostIp }: PortClaim, destination: string | undefined): boolean {
  if (hostIp === undefined || destination === undefined) return true;
  return destination === hostIp || destination === `${hostIp}/${lengthOf(hostIp)}`;
}
