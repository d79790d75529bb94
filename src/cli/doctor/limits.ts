/** The ifb links of rate limits, and the filters that redirect packets to them. */
import { ifbPrefix } from "../../identity/names.ts";
import type { Cli } from "../cli.ts";
import { mapAtOnce } from "../node/at-once.ts";
import type { IpLink } from "../node/iproute.ts";

export interface LimitFacts {
  readonly ifbs: readonly Ifb[];
}

export interface Ifb {
  readonly name: string;
  /** The alias. */
  readonly owner: string | undefined;
  /** The interfaces whose packets are redirected to it. */
  readonly servedTo: readonly string[];
}

/** Reads qdiscs and filters only if there is an ifb of ours. */
export async function gatherLimits(cli: Cli, links: readonly IpLink[]): Promise<LimitFacts> {
  // A link with a peer, in this namespace (`link`) or in another, is a foreign veth with such a name.
  const ifbs = links.filter(({ ifname, link, link_index }) => ifname.startsWith(ifbPrefix) && !link && !link_index);
  if (ifbs.length === 0) return { ifbs: [] };
  const redirects = await redirectsOf(cli);
  return {
    ifbs: ifbs.map(({ ifname: name, ifalias: owner }) => ({
      name,
      owner,
      servedTo: redirects.filter(({ to }) => to === name).map(({ from }) => from),
    })),
  };
}

interface Redirect {
  readonly from: string;
  readonly to: string;
}

async function redirectsOf(cli: Cli): Promise<readonly Redirect[]> {
  const qdiscs = JSON.parse(await cli.program(["tc", "-j", "qdisc", "show"])) as readonly {
    readonly kind: string;
    readonly dev: string;
  }[];
  const hooked = qdiscs.filter(({ kind }) => kind === "ingress" || kind === "clsact");
  return (await mapAtOnce(hooked, ({ dev }) => redirectsFrom(cli, dev))).flat();
}

/** Where the packets that arrive at an interface are redirected; `*`: to an interface that no longer exists. */
export async function redirectsFrom(cli: Cli, from: string): Promise<readonly Redirect[]> {
  let text: string;
  try {
    text = await cli.program(["tc", "-j", "filter", "show", "dev", from, "ingress"]);
  } catch {
    // The interface is gone.
    return [];
  }
  const filters = JSON.parse(text || "[]") as readonly {
    readonly options?: { readonly actions?: readonly { readonly to_dev?: string }[] };
  }[];
  return filters
    .flatMap(({ options }) => options?.actions ?? [])
    .flatMap(({ to_dev: to }) => (to === undefined ? [] : [{ from, to }]));
}
