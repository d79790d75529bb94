/** What is known of our plugins' configurations: the keys of their schemas, and what a plugin says itself when it reads one. */
import * as z from "zod";
import { configurations } from "#plugins/configurations";
import type { Schema } from "../../cni/schema.ts";
import type { JsonObject } from "../../plugin/plugin.ts";

export interface KnownPlugin {
  readonly schema: Schema;
  /** Throws an `Error` in the words of ADD. */
  readonly parseConf: (document: JsonObject) => unknown;
}

/** By `type`. */
export const knownPlugins: Readonly<Record<string, KnownPlugin>> = Object.fromEntries(
  Object.entries(configurations).map(([type, { schema, parseConf }]) => [
    type,
    { schema: z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Schema, parseConf },
  ]),
);
