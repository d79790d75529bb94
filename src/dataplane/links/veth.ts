/** Judges a veth pair. */
import type { Link } from "../../netlink/link.ts";
import type { LinkEnd, Place, VethPair } from "../../plan/resource.ts";
import type { LinkDriver } from "../driver.ts";
import { differenceSuffix } from "../places.ts";

export const vethDriver: LinkDriver<VethPair> = {
  how: "link",
  judge(pair, world) {
    const host = world.view("host").link(pair.host.name);
    const sandbox = world.view("sandbox").link(pair.sandbox.name);
    const texts = [...judgeEnd("host", pair.host, host, pair), ...judgeEnd("sandbox", pair.sandbox, sandbox, pair)];
    if (host === undefined || sandbox === undefined) return texts;
    const { name } = pair.host;
    if (!arePair(host, sandbox)) texts.push(`link ${name} is not the other end of ${pair.sandbox.name}`);
    if (host.alias !== world.owner) {
      texts.push(`link ${name} has alias "${host.alias ?? ""}", wanted "${world.owner}"`);
    }
    return texts;
  },
};

/** Whether two links, each in its own namespace, are the ends of one pair. */
export function arePair(one: Link, other: Link): boolean {
  return one.kind === "veth" && other.kind === "veth" && one.peerIndex === other.index && other.peerIndex === one.index;
}

function judgeEnd(place: Place, end: LinkEnd, found: Link | undefined, pair: VethPair): string[] {
  const suffix = differenceSuffix(place);
  if (found === undefined) return [`link ${end.name} is missing${suffix}`];
  const texts: string[] = [];
  const judge = (what: string, has: string | number | undefined, wanted: string | number | undefined) => {
    if (wanted && has !== wanted) texts.push(`link ${end.name} has ${what} ${has}, wanted ${wanted}${suffix}`);
  };
  judge("mac", found.mac, end.mac);
  judge("mtu", found.mtu, pair.mtu);
  judge("numtxqueues", found.txQueues, pair.queues);
  judge("numrxqueues", found.rxQueues, pair.queues);
  return texts;
}
