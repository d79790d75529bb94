/** The configuration of `bandwidth`: the reference plugin's keys. */
import * as z from "zod";
import { logKeys } from "../../src/plugin/schema.ts";

const limit = (meaning: string) => z.number().int().min(0).optional().describe(meaning);

const limits = {
  ingressRate: limit("rate to the container, in bits per second"),
  ingressBurst: limit("burst to the container, in bits"),
  egressRate: limit("rate from the container, in bits per second"),
  egressBurst: limit("burst from the container, in bits"),
};

export const schema = z.object({
  ...logKeys,
  ...limits,
  runtimeConfig: z
    .looseObject({
      bandwidth: z
        .looseObject(limits)
        .optional()
        .describe(
          "the same keys, set by the runtime (capability `bandwidth`); ignored if any of them is set at the top level",
        ),
    })
    .optional(),
});
