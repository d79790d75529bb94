/** The drivers by kind: a new kind does not compile until it has one. */
import type { LinkKind, LinkResource, Resource, ResourceKind, ResourceOf } from "../plan/resource.ts";
import type { MessageDriver, ProgramDriver, SysctlDriver, TableDriver } from "./driver.ts";
import { addressDriver } from "./kinds/address.ts";
import { blackholeDriver } from "./kinds/blackhole.ts";
import { neighbourDriver } from "./kinds/neighbour.ts";
import { qdiscDriver } from "./kinds/qdisc.ts";
import { redirectDriver } from "./kinds/redirect.ts";
import { routeDriver } from "./kinds/route.ts";
import { ruleDriver } from "./kinds/rule.ts";
import { sharedRuleDriver } from "./kinds/shared-rule.ts";
import { upDriver } from "./kinds/up.ts";
import type { LinkDriver } from "./links/driver.ts";
import { ifbDriver } from "./links/ifb.ts";
import { vethDriver } from "./links/veth.ts";

type AnyDriver<R extends Resource> = R extends LinkResource
  ? LinkDriver<R>
  : MessageDriver<R> | SysctlDriver | TableDriver | ProgramDriver;

/** The drivers of links. A new kind needs its file and a line here. */
export const linkDrivers: { readonly [K in LinkKind]: LinkDriver<ResourceOf<K>> } = {
  veth: vethDriver,
  ifb: ifbDriver,
};

const drivers = {
  ...linkDrivers,
  sysctl: { how: "sysctl" },
  up: upDriver,
  address: addressDriver,
  neighbour: neighbourDriver,
  route: routeDriver,
  blackhole: blackholeDriver,
  rule: ruleDriver,
  "shared-rule": sharedRuleDriver,
  qdisc: qdiscDriver,
  redirect: redirectDriver,
  "nft-table": { how: "table" },
  "nft-elements": { how: "table" },
  "iptables-ports": { how: "program" },
} as const satisfies { readonly [K in ResourceKind]: AnyDriver<ResourceOf<K>> };

type KindsBy<How> = { [K in ResourceKind]: (typeof drivers)[K]["how"] extends How ? K : never }[ResourceKind];
export type MessageResource = ResourceOf<KindsBy<"message">>;
export type TableResource = ResourceOf<KindsBy<"table">>;

export function isMessage(resource: Resource): resource is MessageResource {
  return drivers[resource.kind].how === "message";
}

export function isLink(resource: Resource): resource is LinkResource {
  return drivers[resource.kind].how === "link";
}

export function isTable(resource: Resource): resource is TableResource {
  return drivers[resource.kind].how === "table";
}

/** The driver of a resource's kind. (The compiler cannot verify that the two match.) */
export function messageDriver<R extends MessageResource>(resource: R): MessageDriver<R> {
  return drivers[resource.kind] as unknown as MessageDriver<R>;
}

export function linkDriver<R extends LinkResource>(resource: R): LinkDriver<R> {
  return drivers[resource.kind] as unknown as LinkDriver<R>;
}
