/** What an attachment's mappings put into the tables of the nftables back end. */

import { portmapTable } from "../../src/plan/names.ts";
import type { NftElement, NftElements, NftResource } from "../../src/plan/nft.ts";
import type { Mapping, PortmapConf } from "./conf.ts";
import { conditionsChain, tableOf } from "./tables.ts";
import type { Target } from "./target.ts";

/** Nothing for a family in which no mapping has a target. */
export function mappedPorts(conf: PortmapConf, targets: readonly Target[]): readonly NftResource[] {
  return targets.flatMap((target) => {
    const mappings = conf.mappings.filter(({ families }) => families.includes(target.family));
    return mappings.length === 0 ? [] : mappedTo(target, mappings, conf);
  });
}

function mappedTo(
  { family, address }: Target,
  mappings: readonly Mapping[],
  conf: PortmapConf,
): readonly NftResource[] {
  const elements = (set: string, list: readonly NftElement[]): readonly NftElements[] =>
    list.length === 0 ? [] : [{ kind: "nft-elements", family, table: portmapTable, set, elements: list }];
  const table = tableOf(family);
  const anywhere = mappings.filter(({ hostIp }) => hostIp === undefined);
  const somewhere = mappings.filter(({ hostIp }) => hostIp !== undefined);
  const statements = conf.statements[family];
  const chain = statements.length > 0 ? conditionsChain(statements) : undefined;
  const conditions = (list: readonly Mapping[]): readonly NftElement[] =>
    chain ? list.map((mapping) => ({ key: keyOf(mapping), data: [`jump ${chain.name}`] })) : [];
  const ports = (list: readonly Mapping[]): readonly NftElement[] =>
    list.map((mapping) => ({ key: keyOf(mapping), data: [address, String(mapping.containerPort)] }));
  const masquerade = conf.masqAll ? ["masq_all"] : family === "ip" ? ["hairpin", "localhost"] : ["hairpin"];
  return [
    table,
    ...(chain ? [{ ...table, sets: [], chains: [chain] }] : []),
    ...elements("ports", ports(anywhere)),
    ...elements("hostip_ports", ports(somewhere)),
    ...elements("conditions", conditions(anywhere)),
    ...elements("hostip_conditions", conditions(somewhere)),
    ...(conf.snat
      ? masquerade.flatMap((set) => elements(set, [{ key: set === "hairpin" ? [address, address] : [address] }]))
      : []),
  ];
}

/** The key of a mapping in `ports` or `hostip_ports`. */
export function keyOf({ hostIp, protocol, hostPort }: Mapping): readonly string[] {
  return [...(hostIp === undefined ? [] : [hostIp]), protocol, String(hostPort)];
}
