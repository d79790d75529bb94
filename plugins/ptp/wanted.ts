/** The attachment that a request describes: from the IPAM plugin's result at ADD, from the final result at CHECK. */
import { CniError, code } from "../../src/cni/error.ts";
import type { IpConfig, Result, RouteConfig } from "../../src/cni/result.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import { canonicalAddress, familyOf } from "../../src/net/address.ts";
import { sha1 } from "../../src/net/digest.ts";
import { canonicalPrefix } from "../../src/net/prefix.ts";
import type { CheckRequest } from "../../src/plugin/plugin.ts";
import type { PtpConf } from "./conf.ts";
import { vethPrefix } from "./names.ts";

export interface Wanted {
  readonly hostInterface: string;
  readonly hostMac?: string | undefined;
  readonly ifname: string;
  readonly mac?: string | undefined;
  /** 0: not specified. */
  readonly mtu: number;
  readonly ips: readonly WantedIp[];
  readonly routes: readonly RouteConfig[];
}

export interface WantedIp {
  /** With its subnet's prefix length. */
  readonly address: string;
  readonly gateway: string;
}

/** The host interface's name: `veth` and 8 hexadecimal digits of SHA-1("<network>.<containerID>.<ifname>"), so that DEL can derive it. */
export function hostInterfaceOf({ network, containerId, ifname }: Attachment): string {
  return vethPrefix + sha1(`${network}.${containerId}.${ifname}`).slice(0, 8);
}

/** Throws `CniError` 100 if the IPAM plugin assigned no address, or one without a gateway. */
export function wantedAtAdd(attachment: Attachment, conf: PtpConf, ipam: Result): Wanted {
  const { ifname } = attachment;
  const { ips = [], routes = [] } = ipam;
  const asked = `IPAM plugin "${conf.ipamType}"`;
  if (ips.length === 0) {
    throw new CniError(code.refused, `cannot attach "${ifname}": ${asked} returned no address`);
  }
  const refuse = (reason: string) => new CniError(code.refused, `cannot attach "${ifname}": ${asked} ${reason}`);
  return {
    hostInterface: hostInterfaceOf(attachment),
    ifname,
    mtu: conf.mtu,
    ips: ips.map((ip) => wantedIp(ip, refuse)),
    routes,
  };
}

/** Throws `CniError` 101 if the final result does not describe this attachment. Accepts the reference plugin's results. */
export function wantedAtCheck({ attachment, netns, prevResult, conf }: CheckRequest<PtpConf>): Wanted {
  const { ifname } = attachment;
  const { interfaces = [], ips = [], routes = [] } = prevResult;
  const refuse = (reason: string) => new CniError(code.different, `cannot check "${ifname}": prevResult ${reason}`);
  const index = interfaces.findIndex(({ name, sandbox }) => name === ifname && Boolean(sandbox));
  const found = interfaces[index];
  if (found === undefined) throw refuse("names no such interface in a sandbox");
  if (found.sandbox !== netns) throw refuse(`has it in sandbox "${found.sandbox}", CNI_NETNS is "${netns}"`);
  // Chained plugins append theirs.
  const host = interfaces.find(({ sandbox }) => !sandbox);
  if (host === undefined) throw refuse("names no interface on the host");
  return {
    hostInterface: host.name,
    hostMac: host.mac,
    ifname,
    mac: found.mac,
    mtu: found.mtu ?? conf.mtu,
    ips: ips.filter((ip) => ip.interface === undefined || ip.interface === index).map((ip) => wantedIp(ip, refuse)),
    routes,
  };
}

function wantedIp(ip: IpConfig, refuse: (reason: string) => CniError): WantedIp {
  const address = canonicalPrefix(ip.address);
  if (address === undefined) throw refuse(`has address "${ip.address}", which has no prefix length`);
  const gateway = canonicalAddress(ip.gateway ?? "");
  if (gateway === undefined || familyOf(gateway) !== familyOf(address)) {
    throw refuse(`has no gateway for address ${address}; ptp gives it to the host's end, so name one`);
  }
  return { address, gateway };
}
