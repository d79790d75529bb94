/** The steps where a packet leaves the node, or its outer packet: the interface, and the neighbour entry of the next machine. */
import type { TraceFacts, Uplink } from "./facts.ts";
import { type Judged, linkHop, unchecked } from "./judged.ts";
import { addressOfNode, holderOf } from "./nodes.ts";

export function uplinkHops(facts: TraceFacts): readonly Judged[] {
  const { uplink } = facts;
  return uplink === undefined ? [] : [interfaceHop(facts, uplink), nextHop(facts, uplink)];
}

function interfaceHop(facts: TraceFacts, { dev }: Uplink): Judged {
  const { own, family, links, tunnel, target } = facts;
  const found = linkHop(facts, dev, `ip link set ${dev} up   # then check the cable and the switch`);
  const link = links?.get(dev);
  if (found.verdict !== "good" || link === undefined) return found;
  const address = addressOfNode(own, family);
  if (address === undefined || link.addresses.includes(address)) {
    const text = address === undefined ? found.text : `${address}, ${found.text}`;
    return { ...found, text };
  }
  const holder = holderOf(links, address);
  const isFarPod = target.kind === "far pod" || tunnel !== undefined;
  if (holder !== undefined && !isFarPod) return found;
  return {
    what: dev,
    text: `lacks this node's address ${address}${holder === undefined ? ", which no interface has" : `, which ${holder.name} has`}`,
    // By BGP, a node may have its address on the loopback interface.
    verdict: holder === undefined || tunnel !== undefined ? "wrong" : "unchecked",
    remedy:
      holder === undefined
        ? `ip address add ${own?.addresses[family]} dev ${dev}`
        : `ip address show; tortie get node ${own?.name} -o yaml`,
  };
}

/** States in which the neighbour has answered lately. */
const confirmed = /REACHABLE/;
/** States of an entry that the kernel did not learn. */
const manual = /PERMANENT|NOARP/;

function nextHop({ family, links }: TraceFacts, { dev, nextHop: address, neighbour }: Uplink): Judged {
  const what = `${family === 4 ? "ARP for" : "neighbour"} ${address}`;
  const deletion = `ip neighbour delete ${address} dev ${dev}`;
  switch (neighbour.kind) {
    case "unread":
      return unchecked(what, `could not be read: ${neighbour.reason}`);
    case "missing":
      return unchecked(what, "is asked for with the first packet");
    case "silent":
      return {
        what,
        text: `does not answer (${neighbour.state})`,
        verdict: "wrong",
        remedy: `${deletion}   # and check the machine ${address} and the network to it`,
      };
    case "found": {
      const { value, state = "" } = neighbour;
      const own = [...(links?.values() ?? [])].find(({ mac, vxlan }) => mac === value && vxlan === undefined);
      if (own !== undefined)
        return { what, text: `is ${value}, which is this node's ${own.name}`, verdict: "wrong", remedy: deletion };
      if (confirmed.test(state)) return { what, text: `is ${value}`, verdict: "good" };
      const why = manual.test(state) ? "somebody set it, and it is never asked for" : "not confirmed lately";
      return unchecked(what, `is ${value} (${state}): ${why}`);
    }
  }
}
