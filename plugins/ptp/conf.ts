/** `ptp`'s configuration. */
import type { z } from "zod";
import { validate } from "#validators/ptp";
import { confParser } from "../../src/cni/conf.ts";
import { CniError, code } from "../../src/cni/error.ts";
import type { Dns } from "../../src/cni/result.ts";
import type { JsonObject } from "../../src/plugin/plugin.ts";
import type { schema } from "./schema.ts";

export interface PtpConf {
  readonly ipamType: string;
  readonly masquerades: boolean;
  /** 0: the kernel's default. */
  readonly mtu: number;
  /** Absent if the configuration has none of its keys; an empty list counts as a key. */
  readonly dns: Dns | undefined;
}

const parse = confParser<z.infer<typeof schema>>(validate);

/** Throws `CniError` 7, which names the invalid key, or 2 for an unsupported feature. */
export function parseConf(document: JsonObject): PtpConf {
  const { ipam, ipMasq = false, ipMasqBackend: backend = "nftables", mtu = 0, dns = {} } = parse(document);
  if (backend !== "nftables") {
    const [errorCode, reason] =
      backend === "iptables"
        ? [code.unsupportedField, "masquerading is done by nf_tables; remove the key"]
        : [code.invalidConfig, "not a back end; use nftables"];
    throw new CniError(errorCode, `cannot use "ipMasqBackend": "${backend}": ${reason}`);
  }
  const keys = ["nameservers", "domain", "search", "options"] as const;
  const isSet = keys.some((key) => dns[key] !== undefined);
  return { ipamType: ipam.type, masquerades: ipMasq, mtu, dns: isSet ? (dns as Dns) : undefined };
}
