/** Parses the configuration of `calico-ipam`. JSON keys are renamed only here. */

import type { z } from "zod";
import { validate } from "#validators/calico-ipam";
import { confParser } from "../../src/cni/conf.ts";
import { CniError, code } from "../../src/cni/error.ts";
import type { RouteConfig } from "../../src/cni/result.ts";
import type { Wanted } from "../../src/ipam/assign/pool-selection.ts";
import { canonicalAddress, type Family, familyOf } from "../../src/net/address.ts";
import { addressOf, canonicalPrefix, maskPrefix } from "../../src/net/prefix.ts";
import { type NodenameConf, nodenameConf } from "../../src/plugin/nodename.ts";
import type { JsonObject } from "../../src/plugin/plugin.ts";
import {
  type Annotations,
  annotationsCapability,
  badAnnotation,
  listAnnotation,
  refuseAnnotations,
} from "../../src/plugin/pod-annotations.ts";
import { refuseUnsupported } from "../../src/plugin/unsupported.ts";
import type { schema } from "./schema.ts";

export interface IpamConf {
  readonly node: NodenameConf;
  readonly lockFile: string | undefined;
  /** The IP requests of conflist and runtime, for any interface. */
  readonly requests: IpRequests;
  /** The same with the pod's annotations, which apply to its first interface. */
  readonly requestsOfPod: IpRequests;
  /** Canonical. */
  readonly gateways: readonly string[];
  readonly routes: readonly RouteConfig[];
}

export interface IpRequests {
  /** One address from each. */
  readonly wanted: readonly Wanted[];
  /** The same families with only the conflist's pools: ADD creates those if a family has none. */
  readonly configured: readonly Wanted[];
  /** Requested addresses, canonical; they replace `wanted`. */
  readonly addresses: readonly string[];
}

const parse = confParser<z.infer<typeof schema>>(validate);

/** Throws `CniError` 7 naming the invalid key, or 2 naming an unsupported one. */
export function parseConf(document: JsonObject): IpamConf {
  refuseUnsupported(document);
  const conf = parse(document);
  const { assign_ipv4 = true, assign_ipv6 = false, ipv4_pools = [], ipv6_pools = [] } = conf.ipam;
  const { gateways = [], routes = [] } = conf.ipam;
  checkPools(ipv4_pools, 4);
  checkPools(ipv6_pools, 6);
  const { ips = [], ipRanges = [], [annotationsCapability]: annotations } = conf.runtimeConfig ?? {};
  if (ipRanges.length > 0) throw cannotUseRanges(ipRanges);
  const families: Family[] = [];
  if (String(assign_ipv4) !== "false") families.push(4);
  if (String(assign_ipv6) === "true") families.push(6);
  const pools = { 4: ipv4_pools, 6: ipv6_pools };
  const configured = wantedOf(families, pools);
  const addresses = [...ips, ...(conf.args?.cni?.ips ?? [])].map((text) => requestedAddress(text, "ips"));
  const requests = { wanted: configured, configured, addresses };
  return {
    node: nodenameConf(conf),
    lockFile: conf.ipam_lock_file || undefined,
    requests,
    requestsOfPod: annotations === undefined ? requests : annotatedRequests(requests, pools, annotations, document),
    gateways: gateways.map(parseGateway),
    routes: routes.map(parseRoute),
  };
}

type Pools = Readonly<Record<Family, readonly string[]>>;

function wantedOf(families: readonly Family[], pools: Pools): readonly Wanted[] {
  return families.map((family) => ({ family, pools: pools[family] }));
}

function checkPools(texts: readonly string[], family: Family): void {
  for (const text of texts) {
    const fault = poolFault(text, family);
    if (fault !== undefined) refuse(`use "${text}" of "ipam.ipv${family}_pools": ${fault}`);
  }
}

/** Why a text is neither the name of a pool nor a CIDR of this family, and what to write instead. */
function poolFault(text: string, family: Family): string | undefined {
  const cidr = canonicalPrefix(text);
  if (cidr === undefined) {
    const isName = text !== "" && !text.includes("/") && canonicalAddress(text) === undefined;
    return isName ? undefined : "it is neither a valid CIDR nor the name of a pool";
  }
  if (familyOf(cidr) !== family) return `it is an IPv${familyOf(cidr)} CIDR, but IPv${family} is required`;
  const network = maskPrefix(cidr);
  return network === cidr ? undefined : `it has host bits; write "${network}"`;
}

function annotatedRequests(
  plain: IpRequests,
  pools: Pools,
  annotations: Annotations,
  document: JsonObject,
): IpRequests {
  refuseAnnotations(annotations, document);
  const families = familiesIn(annotations) ?? plain.configured.map(({ family }) => family);
  const named = { 4: poolsIn(annotations, 4) ?? pools[4], 6: poolsIn(annotations, 6) ?? pools[6] };
  return {
    wanted: wantedOf(families, named),
    configured: wantedOf(families, pools),
    addresses: [...plain.addresses, ...addressesIn(annotations)],
  };
}

function poolsIn(annotations: Annotations, family: Family): readonly string[] | undefined {
  const name = `ipv${family}pools`;
  const texts = listAnnotation(annotations, name);
  for (const text of texts ?? []) {
    const fault = poolFault(text, family);
    if (fault !== undefined) throw badAnnotation(name, text, fault);
  }
  return texts;
}

function familiesIn(annotations: Annotations): readonly Family[] | undefined {
  const name = "ipFamilies";
  const list = listAnnotation(annotations, name);
  const unknown = list?.find((family) => family !== "IPv4" && family !== "IPv6");
  if (unknown !== undefined) throw badAnnotation(name, unknown, 'want "IPv4" or "IPv6"');
  return list && ([4, 6] as const).filter((family) => list.includes(`IPv${family}`));
}

/** As in Calico, at most one of each family. */
function addressesIn(annotations: Annotations): readonly string[] {
  const name = "ipAddrs";
  const addresses = (listAnnotation(annotations, name) ?? []).map((text) => requestedAddress(text, name));
  if (new Set(addresses.map(familyOf)).size === addresses.length) return addresses;
  throw badAnnotation(name, addresses.join(","), "want one address of each family at most");
}

function cannotUseRanges(ipRanges: readonly unknown[]): CniError {
  const remedy = 'name pools in "ipam.ipv4_pools", or remove the capability';
  return new CniError(
    code.unsupportedField,
    `cannot use key "runtimeConfig.ipRanges" with value ${JSON.stringify(ipRanges)}: addresses come from pools; ${remedy}`,
  );
}

/** The error for an attachment that requests no address and may have none. */
export function nothingWanted(): CniError {
  return new CniError(
    code.invalidConfig,
    'cannot assign an address: "ipam.assign_ipv4" is false and "ipam.assign_ipv6" is not true; set one of them to true',
  );
}

/** The addresses that `IP=` in CNI_ARGS (one or several, separated by commas) and the configuration request, without duplicates. */
export function requestedAddresses(
  { addresses }: IpRequests,
  args: Readonly<Record<string, string>>,
): readonly string[] {
  const texts = (args.IP ?? "").split(",").filter((text) => text !== "");
  return [...new Set([...texts.map((text) => requestedAddress(text, "IP")), ...addresses])];
}

function requestedAddress(text: string, key: string): string {
  const address = canonicalAddress(addressOf(text.trim()));
  if (address !== undefined) return address;
  return refuse(`assign address "${text}": "${key}" must contain IP addresses`);
}

function parseGateway(text: string, index: number, all: readonly string[]): string {
  const gateway = canonicalAddress(text) ?? refuse(`use gateway "${text}": not an IP address`);
  const other = all.slice(0, index).find((one) => one.includes(":") === gateway.includes(":"));
  return other === undefined ? gateway : refuse(`use gateway "${text}" beside "${other}": one of each family is used`);
}

function parseRoute({ dst, gw }: { readonly dst: string; readonly gw?: string | undefined }): RouteConfig {
  const destination = canonicalPrefix(dst) ?? refuse(`use route to "${dst}": not an address with a prefix length`);
  const network = maskPrefix(destination);
  if (network !== destination) refuse(`use route to "${dst}": it has host bits; write "${network}"`);
  if (gw === undefined) return { dst };
  return { dst, gw: canonicalAddress(gw) ?? refuse(`use route to "${dst}": its gateway "${gw}" is not an IP address`) };
}

function refuse(what: string): never {
  throw new CniError(code.invalidConfig, `cannot ${what}`);
}
