/** Parses the configuration of `calico`. JSON keys are renamed only here. */

import type { z } from "zod";
import { validate } from "#validators/calico";
import { confParser } from "../../src/cni/conf.ts";
import { CniError, code } from "../../src/cni/error.ts";
import type { Dns } from "../../src/cni/result.ts";
import { canonicalMac } from "../../src/net/mac.ts";
import { type NodenameConf, nodenameConf } from "../../src/plugin/nodename.ts";
import type { JsonObject } from "../../src/plugin/plugin.ts";
import { type Annotations, annotation, annotationsCapability } from "../../src/plugin/pod-annotations.ts";
import { refuseUnsupported } from "../../src/plugin/unsupported.ts";
import { checkMtu } from "./mtu.ts";
import type { schema } from "./schema.ts";

export interface CalicoConf {
  readonly node: NodenameConf;
  readonly ipamType: string;
  /** 0: not configured. */
  readonly mtu: number;
  readonly requireMtuFile: boolean;
  readonly queues: number;
  readonly allowIpForwarding: boolean;
  readonly includeDefaultRoutes: boolean;
  /** The MAC address that the runtime or the conflist requests, canonical. */
  readonly mac: string | undefined;
  /** The MAC address that the pod's annotation requests, for its first interface. */
  readonly macOfPod: string | undefined;
  /** The pod's. */
  readonly annotations: Annotations | undefined;
  /** Overrides the IPAM plugin's `dns` unless it is empty. */
  readonly dns: Dns | undefined;
  /** The runtime's values override both, key by key. */
  readonly runtimeDns: Dns;
}

type RawConf = z.infer<typeof schema>;
type RuntimeDns = NonNullable<NonNullable<RawConf["runtimeConfig"]>["dns"]>;

const parse = confParser<RawConf>(validate);

/** Throws `CniError` 7 naming the invalid key, or 2 naming an unsupported one. */
export function parseConf(document: JsonObject): CalicoConf {
  refuseUnsupported(document);
  const conf = parse(document);
  const annotations = conf.runtimeConfig?.[annotationsCapability];
  return {
    node: nodenameConf(conf),
    ipamType: conf.ipam.type,
    mtu: checkMtu(conf.mtu ?? 0, conf.ipam.type === "calico-ipam" && String(conf.ipam.assign_ipv6) === "true"),
    requireMtuFile: conf.require_mtu_file ?? false,
    queues: Math.max(1, conf.num_queues ?? 1),
    allowIpForwarding: conf.container_settings?.allow_ip_forwarding ?? false,
    includeDefaultRoutes: conf.include_default_routes ?? false,
    mac: macOf(conf.runtimeConfig?.mac || conf.args?.cni?.mac),
    macOfPod: macOf(annotation(annotations, "hwAddr")),
    annotations,
    dns: conf.dns as Dns | undefined,
    runtimeDns: runtimeDnsOf(conf.runtimeConfig?.dns ?? {}),
  };
}

/** The conventions' keys differ from those of a result's dns. Empty lists count as absent: containerd always sends all three. */
function runtimeDnsOf({ servers = [], searches = [], options = [] }: RuntimeDns): Dns {
  return {
    ...(servers.length > 0 && { nameservers: servers }),
    ...(searches.length > 0 && { search: searches }),
    ...(options.length > 0 && { options }),
  };
}

/** Parses a requested MAC address. Throws `CniError` 7. */
export function macOf(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  const refuse = (reason: string) => new CniError(code.invalidConfig, `cannot use MAC address "${text}": ${reason}`);
  const mac = canonicalMac(text);
  if (mac === undefined) throw refuse("not six octets in hexadecimal");
  // The kernel rejects (is_valid_ether_addr, linux/etherdevice.h) multicast addresses, with the lowest bit of the first octet, and zero.
  if ((Number.parseInt(mac.slice(0, 2), 16) & 1) !== 0) throw refuse("it is a multicast address");
  if (mac === "00:00:00:00:00:00") throw refuse("it is the all-zero address");
  return mac;
}
