/** The configuration of `ptp`: the reference plugin's keys. */
import * as z from "zod";
import { logKeys } from "../../src/plugin/schema.ts";

const texts = z.array(z.string());

export const schema = z.object({
  ...logKeys,
  ipMasq: z.boolean().optional().describe("let the container leave the node by the node's address; default false"),
  ipMasqBackend: z.string().optional().describe("`nftables`, the default; `iptables` is rejected"),
  mtu: z.int().min(0).max(65535).optional().describe("MTU of both ends; if 0 or unset, the kernel's default"),
  dns: z
    .looseObject({
      nameservers: texts.optional(),
      domain: z.string().optional(),
      search: texts.optional(),
      options: texts.optional(),
    })
    .optional()
    .describe("DNS settings in the result, instead of the IPAM plugin's"),
  ipam: z
    .looseObject({ type: z.string().min(1).describe("IPAM plugin to delegate to: host-local, static, calico-ipam, …") })
    .describe("the IPAM plugin and its keys"),
});
