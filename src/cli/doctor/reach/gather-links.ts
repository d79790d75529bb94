/** What other programs did to interfaces, and the node's neighbour entries. */
import * as z from "zod";
import { gateway6 } from "../../../../plugins/calico/names.ts";
import { ifbPrefix } from "../../../identity/names.ts";
import { canonicalAddress } from "../../../net/address.ts";
import type { Cli } from "../../cli.ts";
import { mapAtOnce } from "../../node/at-once.ts";
import { ipList } from "../../node/iproute.ts";
import { redirectsFrom } from "../limits.ts";
import type { LinkFact, NeighbourFact, ReachPod } from "./facts.ts";

const link = z.object({
  ifname: z.string(),
  mtu: z.int().default(0),
  xdp: z.object({ prog: z.object({ id: z.int().optional() }).optional() }).optional(),
  addr_info: z.array(z.object({ local: z.string().optional(), prefixlen: z.int().optional() })).default([]),
});
const qdisc = z.object({ kind: z.string(), dev: z.string().optional() });

export async function gatherLinks(
  cli: Cli,
  pods: readonly ReachPod[],
): Promise<{ readonly facts: readonly LinkFact[]; readonly ownAddresses: readonly string[] }> {
  const [text, qdiscs] = await Promise.all([
    cli.program(["ip", "-j", "-d", "address", "show"]),
    cli.program(["tc", "-j", "qdisc", "show"]).catch(() => "[]"),
  ]);
  const own = new Set(pods.map(({ hostInterface }) => hostInterface));
  const classified = z.array(qdisc).parse(JSON.parse(qdiscs.trim() === "" ? "[]" : qdiscs));
  const devicesOf = (wanted: string) => classified.flatMap(({ kind, dev }) => (kind === wanted ? (dev ?? []) : []));
  const links = z.array(link).parse(ipList(text));
  const lost = await lostIn(
    cli,
    devicesOf("ingress").filter((dev) => own.has(dev)),
    links.filter(({ ifname }) => ifname.startsWith(ifbPrefix)).length,
  );
  const facts = links.map(({ ifname: name, mtu, xdp, addr_info }) => ({
    name,
    mtu,
    addresses: own.has(name) ? addr_info.flatMap(({ local, prefixlen }) => foreignAddress(local, prefixlen)) : [],
    programs: own.has(name)
      ? [
          ...(xdp === undefined ? [] : [`XDP program ${xdp.prog?.id ?? ""}`.trim()]),
          ...(devicesOf("clsact").includes(name) ? ["clsact"] : []),
        ]
      : [],
    isLost: lost.includes(name),
  }));
  const ownAddresses = links
    .filter(({ ifname }) => !own.has(ifname) && ifname !== "lo")
    .flatMap(({ addr_info }) => addr_info.flatMap(({ local = "" }) => canonicalAddress(local) ?? []));
  return { facts, ownAddresses };
}

/** Each limit has its own ifb: reads filters only if there are fewer ifbs than limits. */
async function lostIn(cli: Cli, limited: readonly string[], ifbs: number): Promise<readonly string[]> {
  if (limited.length <= ifbs) return [];
  const redirects = await mapAtOnce(limited, (dev) => redirectsFrom(cli, dev));
  return redirects.flat().flatMap(({ from, to }) => (to === "*" ? [from] : []));
}

/** The plugins add no address to a host interface; the kernel adds the link-local one of the gateway. */
function foreignAddress(local: string | undefined, length: number | undefined): readonly string[] {
  const address = canonicalAddress(local ?? "");
  return address === undefined || address === gateway6 || address.startsWith("fe80:") ? [] : [`${address}/${length}`];
}

const neighbour = z.object({
  dst: z.string(),
  dev: z.string(),
  lladdr: z.string().optional(),
  state: z.array(z.string()).default([]),
});

export async function gatherNeighbours(cli: Cli): Promise<readonly NeighbourFact[]> {
  const text = await cli.program(["ip", "-j", "neighbour", "show"]);
  return z
    .array(neighbour)
    .parse(ipList(text))
    .map(({ dst, dev, lladdr: mac, state }) => ({
      address: canonicalAddress(dst) ?? dst,
      dev,
      mac,
      isFailed: state.includes("FAILED"),
    }));
}
