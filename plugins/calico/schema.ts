/** The configuration of `calico` as it stands in a conflist: Calico's keys, in Calico's spelling. */
import * as z from "zod";
import { datastoreKeys, logKeys, nodenameKeys, podAnnotationKeys, stringOrBoolean } from "../../src/plugin/schema.ts";

const texts = z.array(z.string());

export const schema = z.object({
  ...nodenameKeys,
  ...datastoreKeys,
  ...logKeys,
  mtu: z
    .int()
    .min(0)
    .max(65535)
    .optional()
    .describe(
      "MTU of both ends, 68 or more, with IPv6 1280; 0 or absent: the number in /var/lib/calico/mtu, else the kernel's default",
    ),
  require_mtu_file: z.boolean().optional().describe("refuse ADD while /var/lib/calico/mtu is missing"),
  num_queues: z.int().optional().describe("transmit and receive queues of both ends; 1 by default"),
  container_settings: z
    .object({
      allow_ip_forwarding: z.boolean().optional().describe("let the pod forward packets between its interfaces"),
    })
    .optional(),
  include_default_routes: z
    .boolean()
    .optional()
    .describe("add the default routes to the routes that the IPAM plugin returned"),
  ipam: z
    .looseObject({
      type: z.string().min(1).describe("the IPAM plugin to delegate to: calico-ipam, host-local, static, …"),
      assign_ipv4: stringOrBoolean.optional().describe("calico-ipam: `false` for none"),
      assign_ipv6: stringOrBoolean.optional().describe("calico-ipam: `true` for one"),
      ipv4_pools: z.array(z.string()).optional().describe("calico-ipam: pools to take from, by name or CIDR"),
      ipv6_pools: z.array(z.string()).optional().describe("calico-ipam: the same for IPv6"),
    })
    .describe("the IPAM plugin and its keys"),
  dns: z
    .looseObject({
      nameservers: texts.optional(),
      domain: z.string().optional(),
      search: texts.optional(),
      options: texts.optional(),
    })
    .optional()
    .describe("the result's dns, instead of the IPAM plugin's"),
  runtimeConfig: z
    .looseObject({
      mac: z.string().optional().describe("MAC address of the pod's interface (capability `mac`)"),
      dns: z
        .looseObject({ servers: texts.optional(), searches: texts.optional(), options: texts.optional() })
        .optional()
        .describe("`servers`, `searches`, `options`: for the result's dns, key by key (capability `dns`)"),
      ...podAnnotationKeys,
    })
    .optional(),
  args: z
    .looseObject({
      cni: z
        .looseObject({
          mac: z
            .string()
            .optional()
            .describe("MAC address of the pod's interface, where `runtimeConfig.mac` is not given"),
        })
        .optional(),
    })
    .optional(),
});
