/** `calico-ipam`'s configuration by our names; JSON keys are renamed here and nowhere else. */

import type { z } from "zod";
import { validate } from "#validators/calico-ipam";
import { confParser } from "../../src/cni/conf.ts";
import { CniError, code } from "../../src/cni/error.ts";
import type { RouteConfig } from "../../src/cni/result.ts";
import type { Wanted } from "../../src/ipam/pool-selection.ts";
import { canonicalAddress } from "../../src/net/address.ts";
import { addressOf, canonicalPrefix } from "../../src/net/prefix.ts";
import { type NodenameConf, nodenameConf } from "../../src/plugin/nodename.ts";
import type { JsonObject } from "../../src/plugin/plugin.ts";
import { refuseUnsupported } from "../../src/plugin/unsupported.ts";
import type { schema } from "./schema.ts";

export interface IpamConf {
  readonly node: NodenameConf;
  readonly lockFile: string | undefined;
  /** One address of each. */
  readonly wanted: readonly Wanted[];
  /** Addresses asked for by name, canonical; they take the place of `wanted`. */
  readonly addresses: readonly string[];
  /** Canonical. */
  readonly gateways: readonly string[];
  readonly routes: readonly RouteConfig[];
}

const parse = confParser<z.infer<typeof schema>>(validate);

/** Throws `CniError` 7 naming the key that is wrong, or 2 naming one that this version cannot honour. */
export function parseConf(document: JsonObject): IpamConf {
  refuseUnsupported(document);
  const conf = parse(document);
  const { assign_ipv4 = true, assign_ipv6 = false, ipv4_pools = [], ipv6_pools = [] } = conf.ipam;
  const { gateways = [], routes = [] } = conf.ipam;
  const wanted: Wanted[] = [];
  if (String(assign_ipv4) !== "false") wanted.push({ family: 4, pools: ipv4_pools });
  if (String(assign_ipv6) === "true") wanted.push({ family: 6, pools: ipv6_pools });
  const ips = [...(conf.runtimeConfig?.ips ?? []), ...(conf.args?.cni?.ips ?? [])];
  return {
    node: nodenameConf(conf),
    lockFile: conf.ipam_lock_file || undefined,
    wanted,
    addresses: ips.map((text) => requestedAddress(text, "ips")),
    gateways: gateways.map((text) => canonicalAddress(text) ?? refuse(`use gateway "${text}": not an IP address`)),
    routes: routes.map(parseRoute),
  };
}

/** What the configuration and `IP=` in CNI_ARGS (one address or several, joined by commas) ask for by name; each once. */
export function requestedAddresses(conf: IpamConf, args: Readonly<Record<string, string>>): readonly string[] {
  const texts = (args.IP ?? "").split(",").filter((text) => text !== "");
  return [...new Set([...texts.map((text) => requestedAddress(text, "IP")), ...conf.addresses])];
}

function requestedAddress(text: string, key: string): string {
  const address = canonicalAddress(addressOf(text.trim()));
  if (address !== undefined) return address;
  return refuse(`assign address "${text}": "${key}" must hold IP addresses`);
}

function parseRoute({ dst, gw }: { readonly dst: string; readonly gw?: string | undefined }): RouteConfig {
  if (canonicalPrefix(dst) === undefined) refuse(`use route to "${dst}": not an address with a prefix length`);
  if (gw === undefined) return { dst };
  return { dst, gw: canonicalAddress(gw) ?? refuse(`use route to "${dst}": its gateway "${gw}" is not an IP address`) };
}

function refuse(what: string): never {
  throw new CniError(code.invalidConfig, `cannot ${what}`);
}
