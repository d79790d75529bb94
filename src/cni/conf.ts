/**
 * Parses a plugin's configuration with the schema that the plugin declares.
 *
 * How a plugin author uses it:
 *
 *     plugins/<name>/schema.ts   export const schema = z.object({ mtu: z.int().min(0).optional().describe("…") });
 *     plugins/<name>/conf.ts     import { validate } from "#validators/<name>";
 *                                const parse = confParser<z.infer<typeof schema>>(validate);
 *                                export const parseConf = (document: JsonObject) => { const { mtu } = parse(document); … };
 *
 * `scripts/validators.ts` writes `#validators/<name>`; the build and the unit tests run it first. Unknown keys are kept and never rejected,
 * because the configuration also has keys for the runtime and for delegates.
 */

import { faultOf, type Schema } from "../schema/schema.ts";
import { CniError, code } from "./error.ts";
import { foldKeys } from "./keys.ts";

/** The configuration in the schema's spelling and without known keys that are `null`, or its first fault. */
export type Validate = (document: unknown) => { readonly value: unknown } | { readonly fault: string };

export function validator(schema: Schema): Validate {
  return (document) => {
    const value = foldKeys(schema, document);
    const fault = faultOf(schema, value);
    return fault === undefined ? { value } : { fault };
  };
}

/** Gives a validator the type of its schema. The function throws `CniError` 7, which names the key, the expected and the actual value. */
export function confParser<Conf>(validate: Validate): (document: unknown) => Conf {
  return (document) => {
    const read = validate(document);
    if ("fault" in read) throw new CniError(code.invalidConfig, `cannot parse the configuration: ${read.fault}`);
    return read.value as Conf;
  };
}
