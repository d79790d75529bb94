/**
 * Converts results between the versions of the protocol and the one internal format.
 *
 *     0.1.0 0.2.0         ip4, ip6 {ip, gateway, routes}                          dns
 *     0.3.0 0.3.1 0.4.0   interfaces  ips with `version`  routes                  dns, also when empty
 *     1.0.0               interfaces  ips                 routes                  dns
 *     1.1.0               as 1.0.0, more keys in interfaces and routes; the internal format
 *
 * Within one line of the table only the label changes, so a result labelled 1.0.0 keeps the keys of 1.1.0. Every conversion keeps unknown
 * keys. Keys are in the order of the reference plugins.
 */
import { type Family, familyOf, parseAddress } from "../net/address.ts";
import { parsePrefix } from "../net/prefix.ts";
import { faultOf, isObject } from "../schema/schema.ts";
import { isSupported } from "./document.ts";
import { CniError, code } from "./error.ts";
import { foldKeys } from "./keys.ts";
import type { Interface, IpConfig, Result, RouteConfig } from "./result.ts";
import { isOld, isOldest, schemaOf } from "./result-schema.ts";
import type { CniVersion } from "./version.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Parses a result; `null` is an empty one. If its `cniVersion` is absent, that of the request applies. `what` names the result in
 * messages.
 * Throws `CniError` 6: version not supported, wrong type, no address.
 */
export function parseResult(value: unknown, requestVersion: CniVersion, what: string): Result {
  const refuse = (reason: string) => new CniError(code.decoding, `cannot parse ${what}: ${reason}`);
  const label = labelOf(value);
  const version = label === undefined || label === "" ? requestVersion : label;
  if (typeof version !== "string" || !isSupported(version)) {
    throw refuse(`unsupported CNI result version ${JSON.stringify(version)}`);
  }
  const schema = schemaOf(version);
  const folded = foldKeys(schema, value ?? {});
  const fault = faultOf(schema, folded);
  if (fault !== undefined) throw refuse(fault);
  const { cniVersion: _, ...result } = folded as JsonObject;
  const internal = isOldest(version) ? fromOldest(result) : withoutVersions(result);
  const bad = badAddressOf(internal);
  if (bad !== undefined) throw refuse(bad);
  return internal;
}

/** The result in the format of a version, `cniVersion` included. Throws `CniError` 1 if the version cannot express it. */
export function resultAs(result: Result, version: CniVersion): JsonObject {
  if (isOldest(version)) return toOldest(result, version);
  if (isOld(version)) return toOld(result, version);
  const { dns, interfaces, ips, routes, ...unknown } = result;
  const printed: Record<string, unknown> = { ...unknown, cniVersion: version };
  if (dns !== undefined && Object.keys(dns).length > 0) printed.dns = dns;
  if (interfaces !== undefined && interfaces.length > 0) printed.interfaces = interfaces.map(printInterface);
  if (ips !== undefined && ips.length > 0) printed.ips = ips.map(printIp);
  if (routes !== undefined && routes.length > 0) printed.routes = routes.map(printRoute);
  const sorted: Record<string, unknown> = {};
  for (const key of Object.keys(printed).sort()) sorted[key] = printed[key];
  return sorted;
}

/** Found in any spelling, as by `foldKeys`, because the schema depends on it. */
function labelOf(value: unknown): unknown {
  if (!isObject(value)) return undefined;
  const spellings = Object.keys(value).filter((key) => key.length === 10 && key.toLowerCase() === "cniversion");
  return spellings
    .map((key) => value[key])
    .filter((label) => label !== null)
    .pop();
}

interface OldestFamily {
  readonly ip: string;
  readonly gateway?: string;
  readonly routes?: readonly RouteConfig[];
}

/** Keys of later versions mean nothing in these versions: they are neither validated nor interpreted. */
function fromOldest({ ip4, ip6, ips: _, interfaces: __, routes: ___, ...rest }: JsonObject): Result {
  const ips: IpConfig[] = [];
  const routes: RouteConfig[] = [];
  for (const family of [ip4, ip6] as readonly (OldestFamily | undefined)[]) {
    if (family === undefined) continue;
    const { ip, routes: ofFamily = [], ...more } = family;
    ips.push({ address: ip, ...more });
    routes.push(...ofFamily);
  }
  return { ...(ips.length > 0 && { ips }), ...(routes.length > 0 && { routes }), ...rest };
}

/** From 1.0.0 on there is no such key, but the reference plugin `loopback` confuses the formats. */
function withoutVersions(result: JsonObject): Result {
  const ips = (result.ips as readonly IpConfig[] | undefined)?.map(({ version: _, ...ip }) => ip);
  return (ips === undefined ? result : { ...result, ips }) as Result;
}

function toOldest(
  { interfaces: _, ips = [], routes = [], dns = {}, ...unknown }: Result,
  version: CniVersion,
): JsonObject {
  const family = (wanted: Family) => {
    const ip = ips.find(({ address }) => familyOf(address) === wanted);
    if (ip === undefined) return undefined;
    const { address, interface: _, gateway, ...more } = ip;
    const own = routes.filter(({ dst }) => familyOf(dst) === wanted).map(printRoute);
    return { ip: address, ...(gateway && { gateway }), ...(own.length > 0 && { routes: own }), ...more };
  };
  const [ip4, ip6] = [family(4), family(6)];
  if (ip4 === undefined && ip6 === undefined) {
    throw new CniError(
      code.incompatibleVersion,
      `cannot convert the result to version ${version}: no valid IP addresses`,
    );
  }
  return { cniVersion: version, ...(ip4 && { ip4 }), ...(ip6 && { ip6 }), dns, ...unknown };
}

function toOld(
  { interfaces = [], ips = [], routes = [], dns = {}, ...unknown }: Result,
  version: CniVersion,
): JsonObject {
  return {
    cniVersion: version,
    ...(interfaces.length > 0 && { interfaces: interfaces.map(printOldInterface) }),
    ...(ips.length > 0 && { ips: ips.map((ip) => ({ version: String(familyOf(ip.address)), ...printIp(ip) })) }),
    ...(routes.length > 0 && { routes: routes.map(printRoute) }),
    dns,
    ...unknown,
  };
}

const interfaceKeys = ["name", "mac", "mtu", "sandbox", "socketPath", "pciID"];
const ipKeys = ["interface", "address", "gateway"];
const routeKeys = ["dst", "gw"];

function printInterface(one: Interface): JsonObject {
  return ordered(one, interfaceKeys);
}

function printOldInterface({ mtu: _, socketPath: __, pciID: ___, ...kept }: Interface): JsonObject {
  return ordered(kept, interfaceKeys);
}

function printIp(one: IpConfig): JsonObject {
  return ordered(one, ipKeys);
}

function printRoute(one: RouteConfig): JsonObject {
  return ordered(one, routeKeys);
}

/** Known keys first, without those that Go's `omitempty` omits, then all others. Index 0 is kept. */
function ordered(object: JsonObject, known: readonly string[]): JsonObject {
  const printed: Record<string, unknown> = {};
  for (const key of known) {
    const value = object[key];
    if (value || (value === 0 && key === "interface")) printed[key] = value;
  }
  for (const key in object) {
    if (!known.includes(key)) printed[key] = object[key];
  }
  return printed;
}

function badAddressOf({ ips = [], routes = [] }: Result): string | undefined {
  for (const { address, gateway } of ips) {
    if (parsePrefix(address) === undefined) return `invalid CIDR address: ${JSON.stringify(address)}`;
    if (gateway && parseAddress(gateway) === undefined) return `invalid IP address: ${JSON.stringify(gateway)}`;
  }
  for (const { dst, gw } of routes) {
    if (parsePrefix(dst) === undefined) return `invalid CIDR address: ${JSON.stringify(dst)}`;
    if (gw && parseAddress(gw) === undefined) return `invalid IP address: ${JSON.stringify(gw)}`;
  }
  return undefined;
}
