/** `loopback` has no keys of its own. */
import type { z } from "zod";
import { validate } from "#validators/loopback";
import { confParser } from "../../src/cni/conf.ts";
import type { schema } from "./schema.ts";

export const parseConf = confParser<z.infer<typeof schema>>(validate);
