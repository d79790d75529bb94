/** The configuration of `bandwidth`: the reference plugin's keys. */
import * as z from "zod";
import { logKeys } from "../../src/plugin/schema.ts";

const limit = (meaning: string) => z.number().int().min(0).optional().describe(meaning);

const limits = {
  ingressRate: limit("to the container, bits per second"),
  ingressBurst: limit("to the container, bits that may pass at once"),
  egressRate: limit("from the container, bits per second"),
  egressBurst: limit("from the container, bits that may pass at once"),
};

export const schema = z.object({
  ...logKeys,
  ...limits,
  runtimeConfig: z
    .looseObject({
      bandwidth: z
        .looseObject(limits)
        .optional()
        .describe("the same keys from the runtime (capability `bandwidth`); ignored when one stands at the top level"),
    })
    .optional(),
});
