/** The configuration of `calico` in a conflist: Calico's keys, in Calico's spelling. */
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
      "MTU of both ends, at least 68 (1280 with IPv6); if 0 or unset, the number in /var/lib/calico/mtu, otherwise the kernel's default",
    ),
  require_mtu_file: z.boolean().optional().describe("refuse ADD if /var/lib/calico/mtu is missing"),
  num_queues: z.int().optional().describe("number of transmit and of receive queues of both ends; default 1"),
  container_settings: z
    .object({
      allow_ip_forwarding: z.boolean().optional().describe("allow the pod to forward packets between its interfaces"),
    })
    .optional(),
  include_default_routes: z.boolean().optional().describe("add default routes to those that the IPAM plugin returned"),
  ipam: z
    .looseObject({
      type: z.string().min(1).describe("IPAM plugin to delegate to: calico-ipam, host-local, static, …"),
      assign_ipv4: stringOrBoolean.optional().describe("calico-ipam: assign an IPv4 address; default true"),
      assign_ipv6: stringOrBoolean.optional().describe("calico-ipam: assign an IPv6 address; default false"),
      ipv4_pools: z.array(z.string()).optional().describe("calico-ipam: pools to assign from, by name or CIDR"),
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
    .describe("DNS settings in the result, instead of the IPAM plugin's"),
  runtimeConfig: z
    .looseObject({
      mac: z.string().optional().describe("MAC address of the pod's interface (capability `mac`)"),
      dns: z
        .looseObject({ servers: texts.optional(), searches: texts.optional(), options: texts.optional() })
        .optional()
        .describe(
          "`servers`, `searches`, `options`: each replaces that key of the result's DNS settings (capability `dns`)",
        ),
      ...podAnnotationKeys,
    })
    .optional(),
  args: z
    .looseObject({
      cni: z
        .looseObject({
          mac: z.string().optional().describe("MAC address of the pod's interface, if `runtimeConfig.mac` is unset"),
        })
        .optional(),
    })
    .optional(),
});
