/** Conflists derived from the subject's, and the arguments that a runtime passes with them. */
import { type Conflist, isNewer, type JsonObject } from "../lib/conflist.ts";
import type { Range } from "./dialect.ts";
import { DoesNotApply } from "./row.ts";
import { ipamOf, type PluginConf, type Subject } from "./subject.ts";

const limits = { ingressRate: 20e6, ingressBurst: 1e6, egressRate: 20e6, egressBurst: 1e6 };

/** The main plugin alone. */
export function onlyMain(list: Conflist): Conflist {
  return { ...list, plugins: list.plugins.slice(0, 1) };
}

/** The same list with another `ipam` object in its main plugin. */
export function withIpam(list: Conflist, ipam: JsonObject): Conflist {
  return withMain(list, { ipam });
}

/** The same list with other keys in its main plugin. */
export function withMain(list: Conflist, keys: JsonObject): Conflist {
  return { ...list, plugins: [{ ...mainOf(list), ...keys }, ...list.plugins.slice(1)] };
}

/** The same list with other keys in one plugin. */
export function withPlugin(list: Conflist, type: string, keys: JsonObject): Conflist {
  return { ...list, plugins: list.plugins.map((one) => (one.type === type ? { ...one, ...keys } : one)) };
}

export function mainOf({ name, plugins: [main] }: Conflist): PluginConf {
  if (main === undefined) throw new Error(`conflist "${name}" has no plugins`);
  return main;
}

/** The capability arguments of a container with one host port, which leads to its port 80, and with limits in both directions. */
export function attached(hostPort: number): JsonObject {
  return { portMappings: [tcp(hostPort)], bandwidth: limits };
}

/** The same chain with one address from each range. Throws `DoesNotApply` if the suite does not know how to configure that. */
export function withRanges({ list, dialect }: Subject, ...ranges: readonly Range[]): Conflist {
  const ipam = ipamOf(mainOf(list));
  if (dialect === undefined) throw new DoesNotApply(`how to give ranges to "${ipam.type}" is not known to the suite`);
  return withIpam(list, dialect.ranges(ipam, ranges));
}

/** The same chain with an IPv4 and an IPv6 address. */
export function bothFamilies(subject: Subject): Conflist {
  return withRanges(subject, "10.44.0.0/16", "fd00:44::/64");
}

/** Maps a host port to port 80. */
export function tcp(hostPort: number): JsonObject & { readonly hostPort: number } {
  return { hostPort, containerPort: 80, protocol: "tcp" };
}

/** A possible answer of an IPAM plugin, in the list's version. */
export function ipamAnswer({ cniVersion }: Conflist): JsonObject {
  const labelled = isNewer("1.0.0", cniVersion) ? { version: "4" } : {};
  return { cniVersion, ips: [{ ...labelled, address: "10.55.0.7/24", gateway: "10.55.0.1" }] };
}
