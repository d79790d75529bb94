/** `calico`'s configuration by our names; JSON keys are renamed here and nowhere else. */

import type { z } from "zod";
import { validate } from "#validators/calico";
import { confParser } from "../../src/cni/conf.ts";
import { CniError, code } from "../../src/cni/error.ts";
import type { Dns } from "../../src/cni/result.ts";
import { canonicalMac } from "../../src/net/mac.ts";
import { type NodenameConf, nodenameConf } from "../../src/plugin/nodename.ts";
import type { JsonObject } from "../../src/plugin/plugin.ts";
import { refuseUnsupported } from "../../src/plugin/unsupported.ts";
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
  /** The MAC address that the runtime or the conflist asks for, canonical. */
  readonly mac: string | undefined;
  /** Goes before the IPAM plugin's when it says anything at all. */
  readonly dns: Dns | undefined;
}

const parse = confParser<z.infer<typeof schema>>(validate);

/** Throws `CniError` 7 naming the key that is wrong, or 2 naming one that this version cannot honour. */
export function parseConf(document: JsonObject): CalicoConf {
  refuseUnsupported(document);
  const conf = parse(document);
  return {
    node: nodenameConf(conf),
    ipamType: conf.ipam.type,
    mtu: conf.mtu ?? 0,
    requireMtuFile: conf.require_mtu_file ?? false,
    queues: Math.max(1, conf.num_queues ?? 1),
    allowIpForwarding: conf.container_settings?.allow_ip_forwarding ?? false,
    includeDefaultRoutes: conf.include_default_routes ?? false,
    mac: macOf(conf.runtimeConfig?.mac ?? conf.args?.cni?.mac),
    dns: conf.dns as Dns | undefined,
  };
}

/** Parses a requested MAC address. */
export function macOf(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  const mac = canonicalMac(text);
  if (mac === undefined)
    throw new CniError(code.invalidConfig, `cannot use MAC address "${text}": not six octets in hexadecimal`);
  return mac;
}
