/**
 * Calico's BGP resources as the agent reads them (projectcalico.org/v3). Fields that are not listed here are ignored; a resource that does
 * not satisfy its schema counts as absent, and is reported.
 */
import * as z from "zod";
import { canonicalAddress } from "../../net/address.ts";
import { canonicalPrefix, maskPrefix } from "../../net/prefix.ts";

const address = z
  .string()
  .refine((text) => canonicalAddress(text) !== undefined, "is not an IP address")
  .transform((text) => canonicalAddress(text) as string);
/** A network; host bits are cleared, because BIRD refuses them. */
const network = z
  .string()
  .refine((text) => canonicalPrefix(text) !== undefined, "is not a CIDR like 10.0.0.0/16")
  .transform((text) => maskPrefix(canonicalPrefix(text) as string));
const networks = z.array(z.object({ cidr: network })).default([]);
const uint32 = 4_294_967_295;
/** RFC 6793; RFC 5396's `1.10` is 65546. */
export const asNumber = z
  .union([z.int(), z.string().regex(/^[0-9]{1,10}$|^[0-9]{1,5}\.[0-9]{1,5}$/, "is not an AS number")])
  .transform((value) => {
    const [high = "", low] = String(value).split(".");
    return low === undefined ? Number(high) : Number(high) * 65_536 + Number(low);
  })
  .refine((value) => value >= 1 && value <= uint32, "is not an AS number");
/** `aa:nn` (RFC 1997) or `aa:nn:mm` (RFC 8092). */
const community = z.string().regex(/^\d+:\d+(:\d+)?$/, "is not a community like 65000:100 or 65000:100:1");
/** Go's notation for whole seconds and above, such as `2m30s`. */
const seconds = z
  .string()
  .regex(/^(?=.)(\d+h)?(\d+m)?(\d+(\.\d+)?s)?$/, "is not a duration like 90s or 2m")
  .transform((text) => {
    const [, hours = 0, minutes = 0, rest = 0] = /^(?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)?$/.exec(text) ?? [];
    return Math.round(Number(hours) * 3600 + Number(minutes) * 60 + Number(rest));
  });
const password = z.object({ secretKeyRef: z.object({ name: z.string().default(""), key: z.string() }).optional() });
const port = z.int().min(1).max(65_535);
/** It is written into BIRD's configuration between quotes. */
const interfacePattern = z.string().regex(/^[\w.*?@:-]{1,15}$/, "is not an interface name or pattern");

export const bgpConfigurationSchema = z.object({
  asNumber: asNumber.optional(),
  bindMode: z.enum(["None", "NodeIP"]).default("None"),
  communities: z.array(z.object({ name: z.string(), value: community })).default([]),
  ignoredInterfaces: z.array(interfacePattern).default([]),
  listenPort: port.optional(),
  logSeverityScreen: z.string().optional(),
  nodeMeshMaxRestartTime: seconds.optional(),
  nodeMeshPassword: password.optional(),
  nodeToNodeMeshEnabled: z.boolean().optional(),
  prefixAdvertisements: z.array(z.object({ cidr: network, communities: z.array(z.string()).default([]) })).default([]),
  programClusterRoutes: z.enum(["Enabled", "Disabled", "EnabledIPIPOnly", "EnabledNoEncapOnly"]).optional(),
  serviceClusterIPs: networks,
  serviceExternalIPs: networks,
  serviceLoadBalancerIPs: networks,
  serviceLoadBalancerAggregation: z.enum(["Enabled", "Disabled"]).default("Enabled"),
});

export const bgpPeerSchema = z.object({
  node: z.string().optional(),
  nodeSelector: z.string().optional(),
  /** An address, or `192.0.2.1:1790` or `[2001:db8::1]:1790`. */
  peerIP: z.string().optional(),
  peerSelector: z.string().optional(),
  asNumber: asNumber.optional(),
  localASNumber: asNumber.optional(),
  password: password.optional(),
  sourceAddress: z.enum(["UseNodeIP", "None"]).default("UseNodeIP"),
  reachableBy: address.optional(),
  ttlSecurity: z.int().min(1).max(255).optional(),
  maxRestartTime: seconds.optional(),
  keepaliveTime: seconds.optional(),
  numAllowedLocalASNumbers: z.int().min(0).max(255).optional(),
  keepOriginalNextHop: z.boolean().default(false),
  nextHopMode: z.enum(["Auto", "Self", "Keep"]).optional(),
  reversePeering: z.enum(["Auto", "Manual"]).default("Auto"),
  localWorkloadSelector: z.string().optional(),
  filters: z.array(z.string()).default([]),
});

const length = z.int().min(0).max(128);
const operation = z.union([
  z.object({ addCommunity: z.object({ value: community }) }),
  z.object({ prependASPath: z.object({ prefix: z.array(asNumber) }) }),
  z.object({ setPriority: z.object({ value: z.int().min(0).max(uint32) }) }),
]);
const ruleSchema = z.object({
  action: z.enum(["Accept", "Reject"]),
  cidr: network.optional(),
  matchOperator: z.enum(["Equal", "NotEqual", "In", "NotIn"]).default("In"),
  prefixLength: z.object({ min: length.optional(), max: length.optional() }).optional(),
  source: z.literal("RemotePeers").optional(),
  interface: interfacePattern.optional(),
  peerType: z.enum(["eBGP", "iBGP"]).optional(),
  asPathPrefix: z.array(asNumber).optional(),
  communities: z.object({ values: z.array(community) }).optional(),
  priority: z.int().min(0).max(uint32).optional(),
  operations: z.array(operation).default([]),
});
const rules = z.array(ruleSchema).default([]);
export const bgpFilterSchema = z.object({ importV4: rules, exportV4: rules, importV6: rules, exportV6: rules });

export type BgpConfiguration = z.output<typeof bgpConfigurationSchema>;
export type BgpPeer = z.output<typeof bgpPeerSchema>;
export type BgpFilter = z.output<typeof bgpFilterSchema>;
export type BgpFilterRule = z.output<typeof ruleSchema>;
export type BgpOperation = z.output<typeof operation>;
export type Password = z.output<typeof password>;
