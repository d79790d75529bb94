/** The configuration of `portmap`: the reference plugin's keys. */
import * as z from "zod";
import { logKeys } from "../../src/plugin/schema.ts";

const port = z.int().min(1).max(65535);

export const schema = z.object({
  ...logKeys,
  backend: z
    .string()
    .optional()
    .describe("`nftables` or `iptables`; default: the back end that the other options require, otherwise nftables"),
  snat: z
    .boolean()
    .optional()
    .describe(
      "SNAT traffic from 127.0.0.1 and from the container to itself, so that both can use the host port; default true",
    ),
  masqAll: z.boolean().optional().describe("SNAT all traffic to the container"),
  markMasqBit: z.int().optional().describe("iptables: the mark bit, 0 to 31, of traffic to masquerade; default 13"),
  externalSetMarkChain: z.string().optional().describe("iptables: an existing chain that sets the masquerade mark"),
  conditionsV4: z
    .array(z.string())
    .optional()
    .describe("additional IPv4 matches in the back end's syntax, one word per item"),
  conditionsV6: z.array(z.string()).optional().describe("the same for IPv6"),
  runtimeConfig: z
    .looseObject({
      portMappings: z
        .array(
          z.looseObject({
            hostPort: port.describe("port on the host"),
            containerPort: port.describe("port in the container"),
            protocol: z.string().describe("tcp, udp or sctp"),
            hostIP: z.string().optional().describe("only this address of the host; all if empty"),
          }),
        )
        .optional()
        .describe("the mappings, set by the runtime (capability `portMappings`)"),
    })
    .optional(),
});
