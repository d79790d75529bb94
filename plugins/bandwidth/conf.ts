/** `bandwidth`'s configuration: one limit per direction, in bytes. */

import type { z } from "zod";
import { validate } from "#validators/bandwidth";
import { confParser } from "../../src/cni/conf.ts";
import { CniError, code } from "../../src/cni/error.ts";
import type { JsonObject } from "../../src/plugin/plugin.ts";
import type { schema } from "./schema.ts";

/** One direction's limit. */
export interface Limit {
  /** Bytes per second. */
  readonly rateBytes: number;
  readonly burstBytes: number;
}

export interface BandwidthConf {
  /** Towards the container. */
  readonly ingress: Limit | undefined;
  /** From the container. */
  readonly egress: Limit | undefined;
}

/** A bucket is counted in 32 bits of bytes (TCA_TBF_BURST, linux/pkt_sched.h); the reference plugin uses the largest value for "unset". */
const burstBytesEnd = 2 ** 32 - 1;

const parse = confParser<z.infer<typeof schema>>(validate);

/** Throws `CniError` 7, which names the invalid limit. */
export function parseConf(document: JsonObject): BandwidthConf {
  const conf = parse(document);
  // As in the reference plugin: a limit at the top level overrides all limits that the runtime asks for.
  const own = [conf.ingressRate, conf.ingressBurst, conf.egressRate, conf.egressBurst].some(
    (value) => value !== undefined,
  );
  const limits = own ? conf : (conf.runtimeConfig?.bandwidth ?? {});
  return {
    ingress: limitOf("ingress", limits.ingressRate ?? 0, limits.ingressBurst ?? 0),
    egress: limitOf("egress", limits.egressRate ?? 0, limits.egressBurst ?? 0),
  };
}

function limitOf(direction: "ingress" | "egress", rateBits: number, burstBits: number): Limit | undefined {
  if (rateBits === 0 && burstBits === 0) return undefined;
  const refuse = (reason: string) =>
    new CniError(
      code.invalidConfig,
      `cannot limit ${direction} to ${rateBits} bit/s with a burst of ${burstBits} bits: ${reason}`,
    );
  if (burstBits === 0) throw refuse("if rate is set, burst must also be set");
  if (rateBits === 0) throw refuse("if burst is set, rate must also be set");
  const limit = { rateBytes: Math.floor(rateBits / 8), burstBytes: Math.floor(burstBits / 8) };
  if (limit.burstBytes >= burstBytesEnd) throw refuse("burst cannot be more than 4GB");
  if (limit.rateBytes === 0 || limit.burstBytes === 0) throw refuse("less than 8 bits, one byte");
  return limit;
}
