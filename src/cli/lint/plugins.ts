/** Our plugins' configurations: the schemas, and the plugins' own parsers. */
import * as z from "zod";
import { configurations } from "#plugins/configurations";
import { type IpamConf, nothingWanted } from "../../../plugins/calico-ipam/conf.ts";
import { checkNodename, type NodenameConf } from "../../plugin/nodename.ts";
import type { JsonObject } from "../../plugin/plugin.ts";
import { annotationsCapability } from "../../plugin/pod-annotations.ts";
import { isObject, type Schema } from "../../schema/schema.ts";

export interface KnownPlugin {
  readonly schema: Schema;
  /** Throws an `Error` with ADD's message. */
  readonly parseConf: (document: JsonObject) => unknown;
}

/** By `type`. */
export const knownPlugins: Readonly<Record<string, KnownPlugin>> = Object.fromEntries(
  Object.entries(configurations).map(([type, { schema, parseConf }]) => [
    type,
    {
      schema: z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Schema,
      parseConf: (document: JsonObject) => refuseAsAdd(parseConf(document), document),
    },
  ]),
);

/** What ADD rejects after parsing: an invalid node name, and a request for no address. */
function refuseAsAdd(conf: unknown, { capabilities }: JsonObject): void {
  const { node, requests } = conf as { readonly node?: NodenameConf } & Partial<Pick<IpamConf, "requests">>;
  if (node !== undefined) checkNodename(node);
  if (requests === undefined || requests.wanted.length + requests.addresses.length > 0) return;
  // Requested addresses come with an attachment: if the runtime may pass them, the configuration need not request any.
  const mayBeAsked = isObject(capabilities) && [capabilities.ips, capabilities[annotationsCapability]].includes(true);
  if (!mayBeAsked) throw nothingWanted();
}
