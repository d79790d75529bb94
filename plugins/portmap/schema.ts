/** The configuration of `portmap`: the reference plugin's keys. */
import * as z from "zod";
import { logKeys } from "../../src/plugin/schema.ts";

const port = z.int().min(1).max(65535);

export const schema = z.object({
  ...logKeys,
  backend: z
    .string()
    .optional()
    .describe("`nftables` or `iptables`; without it the one that the other options are for, else nftables"),
  snat: z
    .boolean()
    .optional()
    .describe("let the host by 127.0.0.1, and the container itself, use the host port; true by default"),
  masqAll: z.boolean().optional().describe("hide every client behind the node's address"),
  markMasqBit: z
    .int()
    .optional()
    .describe("iptables: the bit, 0 to 31, that marks what is to be hidden; 13 by default"),
  externalSetMarkChain: z.string().optional().describe("iptables: a chain of another's that sets its own mark instead"),
  conditionsV4: z
    .array(z.string())
    .optional()
    .describe("further matches of IPv4, one word each, in the back end's language"),
  conditionsV6: z.array(z.string()).optional().describe("the same for IPv6"),
  runtimeConfig: z
    .looseObject({
      portMappings: z
        .array(
          z.looseObject({
            hostPort: port.describe("port of the host"),
            containerPort: port.describe("port of the container"),
            protocol: z.string().describe("tcp, udp or sctp"),
            hostIP: z.string().optional().describe("this address of the host only; all when empty"),
          }),
        )
        .optional()
        .describe("what the runtime asks for (capability `portMappings`)"),
    })
    .optional(),
});
