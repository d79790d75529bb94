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
    .describe(
      "additional lock file to take, if another program uses one; the datastore's own is /run/tortie/ipam.lock",
    ),
  ipam: z.looseObject({
    type: z.string().optional(),
    assign_ipv4: stringOrBoolean.optional().describe("assign an IPv4 address; default true"),
    assign_ipv6: stringOrBoolean.optional().describe("assign an IPv6 address; default false"),
    ipv4_pools: z
      .array(z.string())
      .optional()
      .describe(
        "pools to assign from, by name or CIDR, in this order; while there is no pool of the family, a CIDR is created as a pool",
      ),
    ipv6_pools: z.array(z.string()).optional().describe("the same for IPv6"),
    gateways: z
      .array(z.string())
      .optional()
      .describe("gateway in the result, one per family, for main plugins that use one (ptp, bridge)"),
    routes: z
      .array(z.looseObject({ dst: z.string(), gw: z.string().optional() }))
      .optional()
      .describe("routes in the result, as in host-local"),
  }),
  runtimeConfig: z
    .looseObject({
      ...requestedIps,
      ipRanges: z.array(z.unknown()).optional().describe("not supported: ADD is refused; use pools"),
      ...podAnnotationKeys,
    })
    .optional(),
  args: z.looseObject({ cni: z.looseObject(requestedIps).optional() }).optional(),
});
