/** Describes resources in the format of ip(8), for errors, differences and printed commands. */
import { familyOf } from "../net/address.ts";
import type { Blackhole, Route, Rule, SharedRule } from "./resource.ts";

/** The names of scopes (linux/rtnetlink.h). */
export const routeScopes = { global: 0, site: 200, link: 253, host: 254 } as const;

/** RT_TABLE_MAIN (linux/rtnetlink.h). */
export const mainTable = 254;

/** `10.0.0.5/32 dev cali123 scope link`: the arguments of `ip route add`. */
export function describeRoute(route: Route): string {
  const { destination, gateway, link, source, priority, table, mtu, advmss, protocol, onlink } = route;
  const words = [destination];
  if (gateway !== undefined) words.push("via", gateway);
  words.push("dev", link);
  const scope = route.scope ?? (gateway === undefined ? "link" : "global");
  // IPv6 has no scopes, and a route with a gateway is global by default.
  if (familyOf(destination) === 4 && (gateway === undefined || scopeName(scope) !== "global")) {
    words.push("scope", scopeName(scope));
  }
  if (protocol !== undefined) words.push("proto", `${protocol}`);
  if (table !== undefined) words.push("table", `${table}`);
  if (priority !== undefined) words.push("metric", `${priority}`);
  if (source !== undefined) words.push("src", source);
  if (mtu !== undefined) words.push("mtu", `${mtu}`);
  if (advmss !== undefined) words.push("advmss", `${advmss}`);
  if (onlink) words.push("onlink");
  return words.join(" ");
}

function scopeName(scope: NonNullable<Route["scope"]>): string {
  for (const [name, number] of Object.entries(routeScopes)) if (number === scope) return name;
  return `${scope}`;
}

type RuleKeys = Pick<Rule, "table"> & Omit<SharedRule, "kind" | "at" | "family" | "priority" | "table">;
/** The fields of a rule without its owner. */
export type RuleWords = Pick<Rule, "priority"> & { readonly [K in keyof RuleKeys]?: RuleKeys[K] | undefined };

/** `from 10.0.0.9/32 lookup 12345 pref 32000`: the arguments of `ip rule add`. */
export function describeRule(rule: RuleWords): string {
  const { from = "all", to, action, table, suppressPrefixLength, priority, protocol } = rule;
  const words = ["from", from];
  if (to !== undefined) words.push("to", to);
  if (action === undefined) words.push("lookup", table === mainTable ? "main" : `${table}`);
  else words.push(action);
  if (suppressPrefixLength !== undefined) words.push("suppress_prefixlength", `${suppressPrefixLength}`);
  words.push("pref", `${priority}`);
  if (protocol) words.push("proto", `${protocol}`);
  return words.join(" ");
}

/** `blackhole 10.65.0.0/26 proto 80`: the arguments of `ip route add`. */
export function describeBlackhole({ destination, protocol }: Pick<Blackhole, "destination" | "protocol">): string {
  return `blackhole ${destination} proto ${protocol}`;
}
