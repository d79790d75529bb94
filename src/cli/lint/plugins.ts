/** What is known of our plugins' configurations: the keys of their schemas, and what a plugin says itself when it reads one. */
import * as z from "zod";
import { parseConf as parseBandwidth } from "../../../plugins/bandwidth/conf.ts";
import { schema as bandwidth } from "../../../plugins/bandwidth/schema.ts";
import { parseConf as parseCalico } from "../../../plugins/calico/conf.ts";
import { schema as calico } from "../../../plugins/calico/schema.ts";
import { parseConf as parseCalicoIpam } from "../../../plugins/calico-ipam/conf.ts";
import { schema as calicoIpam } from "../../../plugins/calico-ipam/schema.ts";
import { schema as loopback } from "../../../plugins/loopback/schema.ts";
import { parseConf as parsePortmap } from "../../../plugins/portmap/conf.ts";
import { schema as portmap } from "../../../plugins/portmap/schema.ts";
import type { Schema } from "../../cni/schema.ts";
import type { JsonObject } from "../../plugin/plugin.ts";

export interface KnownPlugin {
  readonly schema: Schema;
  /** Throws an `Error` in the words of ADD. */
  readonly parseConf: (document: JsonObject) => unknown;
}

/** By `type`. */
export const knownPlugins: Readonly<Record<string, KnownPlugin>> = {
  calico: known(calico, parseCalico),
  "calico-ipam": known(calicoIpam, parseCalicoIpam),
  bandwidth: known(bandwidth, parseBandwidth),
  portmap: known(portmap, parsePortmap),
  loopback: known(loopback, () => undefined),
};

function known(schema: z.ZodType, parseConf: KnownPlugin["parseConf"]): KnownPlugin {
  return { schema: z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Schema, parseConf };
}
