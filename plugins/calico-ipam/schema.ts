/** The configuration of `calico-ipam`: Calico's keys, those of the main plugin at the top and its own under `ipam`. */
import * as z from "zod";
import { datastoreKeys, logKeys, nodenameKeys, podAnnotationKeys, stringOrBoolean } from "../../src/plugin/schema.ts";

const requestedIps = {
  ips: z.array(z.string()).optional().describe("addresses to assign, with or without a prefix length"),
};

export const schema = z.object({
  ...nodenameKeys,
  ...datastoreKeys,
  ...logKeys,
  ipam_lock_file: z
    .string()
    .optional()
    .describe("a lock to take besides the store's own, /run/tortie/ipam.lock, where another program shares it"),
  ipam: z.looseObject({
    type: z.string().optional(),
    assign_ipv4: stringOrBoolean.optional().describe("`false`: assign no IPv4 address; one by default"),
    assign_ipv6: stringOrBoolean.optional().describe("`true`: assign an IPv6 address; none by default"),
    ipv4_pools: z
      .array(z.string())
      .optional()
      .describe(
        "pools to take from, by name or CIDR, in this order; CIDRs are made pools while the node has none of the family",
      ),
    ipv6_pools: z.array(z.string()).optional().describe("the same for IPv6"),
    gateways: z
      .array(z.string())
      .optional()
      .describe("one per family: the gateway in the result, for main plugins that take one (ptp, bridge)"),
    routes: z
      .array(z.looseObject({ dst: z.string(), gw: z.string().optional() }))
      .optional()
      .describe("routes of the result, as host-local's"),
  }),
  runtimeConfig: z
    .looseObject({
      ...requestedIps,
      ipRanges: z.array(z.unknown()).optional().describe("not supported: an ADD with it is refused; use pools"),
      ...podAnnotationKeys,
    })
    .optional(),
  args: z.looseObject({ cni: z.looseObject(requestedIps).optional() }).optional(),
});
