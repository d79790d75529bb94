/** The MTU of a pod's interface: the conflist's, or the node's. */
import { CniError, code } from "../../src/cni/error.ts";
import type { Sys } from "../../src/host/sys.ts";
import { familyOf } from "../../src/net/address.ts";
import { addressOf } from "../../src/net/prefix.ts";

/** Calico's node agent writes the MTU for the node's encapsulation here. */
const mtuFile = "/var/lib/calico/mtu";

/** RFC 791; the kernel creates no link with less (ETH_MIN_MTU, linux/if_ether.h). */
const smallest4 = 68;
/** RFC 8200, section 5; the kernel disables IPv6 on a link with less (addrconf_notify, net/ipv6/addrconf.c). */
const smallest6 = 1280;

/** The MTU in the configuration. */
export interface MtuConf {
  /** 0: the number in the file, otherwise the kernel's default. */
  readonly mtu: number;
  readonly requireMtuFile: boolean;
}

/** 0: the kernel's default. Throws `CniError` 7 if it is too small for the addresses, 100 if the file is invalid. */
export function mtuFor(conf: MtuConf, addresses: readonly string[], sys: Sys): number {
  const mtu = configuredMtu(conf, sys);
  if (addresses.some((address) => familyOf(addressOf(address)) === 6)) refuseSmall(mtu, true, sourceOf(conf));
  return mtu;
}

/** The same, before any address is known: for STATUS. */
export function configuredMtu(conf: MtuConf, sys: Sys): number {
  if (conf.mtu !== 0) return conf.mtu;
  const mtu = mtuOfFile(sys, conf.requireMtuFile);
  refuseSmall(mtu, false, sourceOf(conf));
  return mtu;
}

/** Checks the key `mtu`; `wantsIpv6`: the conflist requests an IPv6 address. Throws `CniError` 7. */
export function checkMtu(mtu: number, wantsIpv6: boolean): number {
  refuseSmall(mtu, wantsIpv6, sourceOf({ mtu }));
  return mtu;
}

function refuseSmall(mtu: number, forIpv6: boolean, source: string): void {
  if (mtu === 0 || mtu >= (forIpv6 ? smallest6 : smallest4)) return;
  throw new CniError(
    code.invalidConfig,
    `cannot use MTU ${mtu} of ${source}: the smallest is ${smallest4}, and ${smallest6} with IPv6; 0 stands for the kernel's default`,
  );
}

function sourceOf({ mtu }: Pick<MtuConf, "mtu">): string {
  return mtu === 0 ? `"${mtuFile}"` : 'key "mtu"';
}

function mtuOfFile(sys: Sys, required: boolean): number {
  // Tests for the file first, because most nodes have none and an exception is expensive.
  if (!required && sys.stat(mtuFile) === undefined) return 0;
  let text: string;
  try {
    text = sys.readFile(mtuFile).trim();
  } catch (error) {
    throw new CniError(code.refused, `cannot read the MTU from "${mtuFile}": ${(error as Error).message}`);
  }
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new CniError(
    code.refused,
    `cannot read the MTU from "${mtuFile}": wanted a number, found "${text.slice(0, 40)}"`,
  );
}
