/** How each IPAM plugin is told the few things that rows ask of any of them. */
import type { JsonObject } from "../lib/conflist.ts";

export type Family = 4 | 6;

export interface Dialect {
  /** The `ipam` object that gives one address out of each of these subnets. */
  ranges(ipam: JsonObject, subnets: readonly string[]): JsonObject;
  /** The same with exactly one address that can be given, in each of these families. */
  single(ipam: JsonObject, families: readonly Family[]): JsonObject;
  /** Whether the capability `ipRanges` is one of the plugin's. */
  readonly takesIpRanges: boolean;
  /** Keys of the plugin's with values of the wrong type. */
  readonly wrongTypes: JsonObject;
}

const hostLocal: Dialect = {
  ranges: ({ type }, subnets) => ({
    type,
    ranges: subnets.map((subnet) => [{ subnet }]),
    routes: subnets.map((subnet) => ({ dst: isV6(subnet) ? "::/0" : "0.0.0.0/0" })),
  }),
  single: ({ type }, families) => ({
    type,
    ranges: families.map((family) => [
      family === 4
        ? { subnet: "10.33.0.0/24", rangeStart: "10.33.0.9", rangeEnd: "10.33.0.9" }
        : { subnet: "fd00:33::/64", rangeStart: "fd00:33::9", rangeEnd: "fd00:33::9" },
    ]),
    routes: families.map((family) => ({ dst: family === 4 ? "0.0.0.0/0" : "::/0" })),
  }),
  takesIpRanges: true,
  wrongTypes: { ranges: "10.33.0.0/24" },
};

const calicoIpam: Dialect = {
  ranges: (ipam, subnets) => {
    const [v4, v6] = [subnets.filter((one) => !isV6(one)), subnets.filter(isV6)];
    return {
      ...ipam,
      assign_ipv4: String(v4.length > 0),
      assign_ipv6: String(v6.length > 0),
      ipv4_pools: v4,
      ipv6_pools: v6,
    };
  },
  single: (ipam, families) =>
    calicoIpam.ranges(
      ipam,
      families.map((family) => (family === 4 ? "10.33.0.9/32" : "fd00:33::9/128")),
    ),
  takesIpRanges: false,
  wrongTypes: { ipv4_pools: "10.33.0.0/24" },
};

const dialects: Readonly<Record<string, Dialect>> = { "host-local": hostLocal, "calico-ipam": calicoIpam };

/** `undefined` for an IPAM plugin that nobody described here. */
export function dialectOf(type: string): Dialect | undefined {
  return Object.hasOwn(dialects, type) ? dialects[type] : undefined;
}

function isV6(subnet: string): boolean {
  return subnet.includes(":");
}
