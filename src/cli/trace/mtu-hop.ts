/** The step of the MTU: whether the largest packet of the pod fits through everything on its way. */
import { headerOf } from "../doctor/tunnels/facts.ts";
import type { TraceFacts } from "./facts.ts";
import { askAgent, type Judged, unchecked } from "./judged.ts";

const what = "MTU";

/** An interface on the way, in order, and the bytes of headers that the packet has there. */
interface Passage {
  readonly name: string;
  readonly mtu: number | undefined;
  readonly header: number;
}

type Known = Passage & { readonly mtu: number };

/** `undefined`: the packet goes nowhere. */
export function mtuHop(facts: TraceFacts): Judged | undefined {
  const { sender, source, route, target } = facts;
  if (route.kind !== "route" || target.kind === "this node") return undefined;
  const passages = passagesOf(facts);
  const pod = sender.link?.mtu;
  const unknown = [...passages, { name: "the pod", mtu: pod }].find(({ mtu }) => mtu === undefined);
  const known = passages.flatMap(({ name, mtu, header }) => (mtu === undefined ? [] : [{ name, mtu, header }]));
  const tunnel = known.find(({ name }) => name === facts.tunnel?.device);
  const below = known.find(({ header }) => header > 0);
  if (tunnel !== undefined && below !== undefined && tunnel.mtu + below.header > below.mtu)
    return tooLarge(tunnel, below);
  const narrow = known.find(({ mtu, header }) => pod !== undefined && pod + header > mtu);
  if (narrow !== undefined && pod !== undefined) {
    const isVeth = narrow.name === source.hostInterface;
    return {
      what,
      text: `the pod has ${pod}, and ${narrow.name} ${narrow.mtu}: ${isVeth ? "larger packets are lost" : "large packets depend on ICMP"}`,
      verdict: "wrong",
      remedy: `nsenter --net=${source.netns} ip link set ${source.ifname} mtu ${narrow.mtu - narrow.header}`,
    };
  }
  if (unknown !== undefined) return unchecked(what, `that of ${unknown.name} is not known`);
  return { what, text: describe(pod, known), verdict: "good" };
}

function passagesOf({ links, source, route, target, tunnel, uplink, family }: TraceFacts): readonly Passage[] {
  const at = (name: string, header = 0): Passage => ({ name, mtu: links?.get(name)?.mtu, header });
  const out = route.kind === "route" ? [at(route.dev)] : [];
  const own = [at(source.hostInterface), ...out];
  if (target.kind === "local pod")
    return [...own, { name: `${target.pod.name}'s ${target.pod.ifname}`, mtu: target.receiver.link?.mtu, header: 0 }];
  if (tunnel === undefined) return own;
  const below = links?.get(tunnel.device)?.vxlan?.below ?? uplink?.dev;
  const header = headerOf[tunnel.kind][family];
  return [...own, below === undefined ? { name: "the uplink", mtu: undefined, header } : at(below, header)];
}

function tooLarge(tunnel: Known, below: Known): Judged {
  const most = below.mtu - below.header;
  return {
    what,
    text: `${tunnel.name} has ${tunnel.mtu}, and ${below.name} ${below.mtu}: packets of more than ${most} bytes are lost`,
    verdict: "wrong",
    remedy: `ip link set ${tunnel.name} mtu ${most}\n${askAgent}`,
  };
}

function describe(pod: number | undefined, passages: readonly Known[]): string {
  const isOne = passages.every(({ mtu, header }) => mtu === pod && header === 0);
  if (isOne) return `${pod} on the whole way`;
  const parts = passages.slice(1).map(({ name, mtu, header }) => {
    const outside = header > 0 ? "with the outer headers " : "";
    return `${outside}${(pod ?? 0) + header} of ${mtu} on ${name}`;
  });
  return parts.join(", ");
}
