/** The endpoint that a request describes: from the IPAM plugin's result at ADD, from the final result at CHECK. */
import { CniError, code } from "../../src/cni/error.ts";
import type { IpConfig, Result, RouteConfig } from "../../src/cni/result.ts";
import type { Sys } from "../../src/host/sys.ts";
import { canonicalMac } from "../../src/net/mac.ts";
import { addressOf, canonicalPrefix, hostPrefix } from "../../src/net/prefix.ts";
import type { AddRequest, CheckRequest } from "../../src/plugin/plugin.ts";
import { type CalicoConf, macOf } from "./conf.ts";
import type { EndpointSpec } from "./endpoint.ts";
import { type Identity, stableMac } from "./identity.ts";
import { mtuFor } from "./mtu.ts";
import { hostMac } from "./names.ts";
import { defaultRoutes } from "./routes.ts";

/** Throws `CniError` 100 if the IPAM plugin assigned no address, 7 if the MTU is too small for one. */
export function wantedAtAdd(request: AddRequest<CalicoConf>, identity: Identity, ipam: Result, sys: Sys): EndpointSpec {
  const { conf, attachment } = request;
  const addresses = (ipam.ips ?? []).map(narrowed);
  if (addresses.length === 0) {
    throw new CniError(
      code.refused,
      `cannot attach "${attachment.ifname}": IPAM plugin "${conf.ipamType}" returned no address`,
    );
  }
  return {
    ...common(identity, conf),
    mac: givenMac(request, identity),
    knowsGateways: true,
    mtu: mtuFor(conf, addresses, sys),
    addresses,
    routes: routesOf(conf, ipam, addresses),
  };
}

/** Throws `CniError` 101 if the final result does not describe this attachment. */
export function wantedAtCheck(request: CheckRequest<CalicoConf>, identity: Identity): EndpointSpec {
  const { attachment, conf, netns, prevResult } = request;
  const index = (prevResult.interfaces ?? []).findIndex(
    ({ name, sandbox }) => name === attachment.ifname && Boolean(sandbox),
  );
  const found = prevResult.interfaces?.[index];
  if (found === undefined) {
    throw new CniError(
      code.different,
      `cannot check "${attachment.ifname}": prevResult names no such interface in a sandbox`,
    );
  }
  if (found.sandbox !== netns) {
    throw new CniError(
      code.different,
      `cannot check "${attachment.ifname}": prevResult has it in sandbox "${found.sandbox}", CNI_NETNS is "${netns}"`,
    );
  }
  const addresses = (prevResult.ips ?? [])
    .filter((ip) => ip.interface === undefined || ip.interface === index)
    .map(narrowed);
  const given = givenMac(request, identity);
  const mac = canonicalMac(found.mac ?? "") ?? given;
  return {
    ...common(identity, conf),
    mac,
    // The kernel deletes all neighbours of a link when its MAC address changes (net/core/neighbour.c, neigh_changeaddr).
    knowsGateways: mac === given,
    // A later plugin may have changed it: only the value in the final result is checked.
    mtu: found.mtu ?? 0,
    addresses,
    routes: routesOf(conf, prevResult, addresses),
  };
}

/** The result of ADD, as Calico's: two interfaces and the addresses of the second, without a gateway. */
export function resultOf(
  spec: EndpointSpec,
  { netns, conf }: AddRequest<CalicoConf>,
  mtu: number,
  ipam: Result,
): Result {
  const configured = conf.dns !== undefined && Object.keys(conf.dns).length > 0 ? conf.dns : ipam.dns;
  const dns = { ...configured, ...conf.runtimeDns };
  return {
    interfaces: [
      { name: spec.hostInterface, mac: hostMac },
      { name: spec.ifname, mac: spec.mac, mtu, sandbox: netns },
    ],
    ips: spec.addresses.map((address) => ({ address, interface: 1 })),
    ...(ipam.routes === undefined ? {} : { routes: ipam.routes }),
    ...(Object.keys(dns).length === 0 ? {} : { dns }),
  };
}

/** The MAC address that ADD sets. As in the reference `bridge`, a request for this interface precedes one for the pod. */
function givenMac(
  { conf, args, attachment }: AddRequest<CalicoConf> | CheckRequest<CalicoConf>,
  { hostInterface }: Identity,
): string {
  const ofPod = attachment.ifname === "eth0" ? conf.macOfPod : undefined;
  return conf.mac ?? macOf(args.MAC) ?? ofPod ?? stableMac(hostInterface);
}

function common(identity: Identity, conf: CalicoConf) {
  return {
    hostInterface: identity.hostInterface,
    ifname: identity.attachment.ifname,
    queues: conf.queues,
    allowIpForwarding: conf.allowIpForwarding,
  };
}

/** IPAM plugins return the prefix length of a subnet or block; a routed interface has only its own address. */
function narrowed({ address }: IpConfig): string {
  const prefix = canonicalPrefix(address);
  if (prefix === undefined)
    throw new CniError(code.refused, `cannot use address "${address}": not an address with a prefix length`);
  return hostPrefix(addressOf(prefix));
}

/** The IPAM plugin's routes without those to the addresses themselves (Calico's IPAM lists them); default routes if it names none. */
function routesOf(conf: CalicoConf, { routes = [] }: Result, addresses: readonly string[]): readonly RouteConfig[] {
  const named = routes.filter(({ dst }) => !addresses.includes(dst));
  if (named.length === 0) return defaultRoutes;
  return conf.includeDefaultRoutes ? [...defaultRoutes, ...named] : named;
}
