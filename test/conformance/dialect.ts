/** How to configure each IPAM plugin for the few features that rows need from any of them. */
import type { JsonObject } from "../lib/conflist.ts";

/** A subnet to assign an address from, or the only address that may be assigned. */
export type Range = string | { readonly one: string };

export interface Dialect {
  /** The `ipam` object that assigns one address from each range. */
  ranges(ipam: JsonObject, ranges: readonly Range[]): JsonObject;
  /** Keys that give the answer a gateway and the container a default route. */
  readonly gatewayed: JsonObject;
  /** Whether the plugin supports the capability `ipRanges`. */
  readonly takesIpRanges: boolean;
  /** Keys of the plugin with values of the wrong type. */
  readonly wrongTypes: JsonObject;
}

const hostLocal: Dialect = {
  ranges: ({ type }, ranges) => ({
    type,
    ranges: ranges.map((range) => {
      if (typeof range === "string") return [{ subnet: range }];
      const subnet = isV6(range) ? range.one.replace(/[^:]*$/, "/64") : range.one.replace(/[^.]*$/, "0/24");
      return [{ subnet, rangeStart: range.one, rangeEnd: range.one }];
    }),
    routes: ranges.map((range) => ({ dst: isV6(range) ? "::/0" : "0.0.0.0/0" })),
  }),
  gatewayed: {},
  takesIpRanges: true,
  wrongTypes: { ranges: "10.33.0.0/24" },
};

const calicoIpam: Dialect = {
  ranges: (ipam, ranges) => {
    const pool = (range: Range) => (typeof range === "string" ? range : `${range.one}/${isV6(range) ? 128 : 32}`);
    const [v4, v6] = [ranges.filter((one) => !isV6(one)), ranges.filter(isV6)];
    return {
      ...ipam,
      // The keys of the conflist, changed to the new subnets.
      ...("gateways" in ipam && { gateways: ranges.map(firstHost) }),
      assign_ipv4: String(v4.length > 0),
      assign_ipv6: String(v6.length > 0),
      ipv4_pools: v4.map(pool),
      ipv6_pools: v6.map(pool),
    };
  },
  gatewayed: { ipv4_pools: ["10.77.0.0/26"], gateways: ["10.77.0.1"], routes: [{ dst: "0.0.0.0/0" }] },
  takesIpRanges: false,
  wrongTypes: { ipv4_pools: "10.33.0.0/24" },
};

const dialects: Readonly<Record<string, Dialect>> = { "host-local": hostLocal, "calico-ipam": calicoIpam };

/** `undefined` for an IPAM plugin that the suite does not know. */
export function dialectOf(type: string): Dialect | undefined {
  return Object.hasOwn(dialects, type) ? dialects[type] : undefined;
}

/** The address after the network's; for a single address, that of the /24 or /64 around it. */
function firstHost(range: Range): string {
  const network = typeof range === "string" ? range.replace(/\/.*/, "") : range.one;
  return isV6(range) ? network.replace(/[^:]*$/, "1") : network.replace(/\d+$/, (last) => String(firstOf(range, last)));
}

function firstOf(range: Range, last: string): number {
  return typeof range === "string" ? Number(last) + 1 : 1;
}

function isV6(range: Range): boolean {
  return (typeof range === "string" ? range : range.one).includes(":");
}
