/**
 * A plugin's configuration out of the request's document, by the schema that stands beside the plugin.
 *
 * How a plugin author uses it:
 *
 *     plugins/<name>/schema.ts   export const schema = z.object({ mtu: z.int().min(0).optional().describe("…") });
 *     plugins/<name>/conf.ts     import { validate } from "#validators/<name>";
 *                                const parse = confParser<z.infer<typeof schema>>(validate);
 *                                export const parseConf = (document: JsonObject) => { const { mtu } = parse(document); … };
 *
 * `#validators/<name>` is written by `scripts/validators.ts`, which the build and the unit tests run first. Keys that the schema does
 * not name are kept and never refused: a document also carries what is meant for the runtime and for delegates.
 */
import { CniError, code } from "./error.ts";
import { foldKeys, learnKeys } from "./keys.ts";
import { faultOf, type Schema } from "./schema.ts";

/** The document with the schema's spelling of keys and without known keys that are `null`, or its first fault. */
export type Validate = (document: unknown) => { readonly value: unknown } | { readonly fault: string };

export function validator(schema: Schema): Validate {
  learnKeys(schema);
  return (document) => {
    const value = foldKeys(schema, document);
    const fault = faultOf(schema, value);
    return fault === undefined ? { value } : { fault };
  };
}

/** Gives a validator the type that its schema has. The function throws `CniError` 7 which names the key, what is wanted and what is found. */
export function confParser<Conf>(validate: Validate): (document: unknown) => Conf {
  return (document) => {
    const read = validate(document);
    if ("fault" in read) throw new CniError(code.invalidConfig, `cannot parse the configuration: ${read.fault}`);
    return read.value as Conf;
  };
}
