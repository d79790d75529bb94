/** The elements of an attachment's mappings in the tables of the nftables back end. */

import type { TableFamily } from "../../src/net/address.ts";
import type { NftElement, NftElements, NftResource } from "../../src/plan/nft.ts";
import type { Mapping, PortmapConf } from "./conf.ts";
import { portmapTable } from "./names.ts";
import { conditionsChain, tableOf, waitingPrefix } from "./tables.ts";
import type { Target } from "./target.ts";

/** Whether a mapping waits until another attachment of the container releases the port. */
export type Waits = (family: TableFamily, mapping: Mapping) => boolean;

const never: Waits = () => false;

/** The nf_tables resources; none for a family in which no mapping has a target. */
export function mappedPorts(conf: PortmapConf, targets: readonly Target[], waits = never): readonly NftResource[] {
  return targets.flatMap((target) => {
    const mappings = conf.mappings.filter(({ families }) => families.includes(target.family));
    return mappings.length === 0 ? [] : mappedTo(target, mappings, conf, waits);
  });
}

function mappedTo(
  { family, address }: Target,
  mappings: readonly Mapping[],
  conf: PortmapConf,
  waits: Waits,
): readonly NftResource[] {
  const elements = (set: string, list: readonly NftElement[]): readonly NftElements[] =>
    list.length === 0 ? [] : [{ kind: "nft-elements", family, table: portmapTable, set, elements: list }];
  const table = tableOf(family);
  const statements = conf.statements[family];
  const chain = statements.length > 0 ? conditionsChain(statements) : undefined;
  const inMaps = (prefix: string, further: readonly string[], list: readonly Mapping[]): readonly NftElements[] =>
    [false, true].flatMap((isOfAddress) => {
      const some = list.filter(({ hostIp }) => (hostIp !== undefined) === isOfAddress);
      const key = (mapping: Mapping): readonly string[] => [...keyOf(mapping), ...further];
      const kind = isOfAddress ? "hostip_" : "";
      return [
        ...elements(
          `${prefix}${kind}ports`,
          some.map((mapping) => ({ key: key(mapping), data: [address, String(mapping.containerPort)] })),
        ),
        ...elements(
          `${prefix}${kind}conditions`,
          chain ? some.map((mapping) => ({ key: key(mapping), data: [`jump ${chain.name}`] })) : [],
        ),
      ];
    });
  const masquerade = conf.masqAll ? ["masq_all"] : family === "ip" ? ["hairpin", "localhost"] : ["hairpin"];
  return [
    table,
    ...(chain ? [{ ...table, sets: [], chains: [chain] }] : []),
    ...inMaps(
      "",
      [],
      mappings.filter((mapping) => !waits(family, mapping)),
    ),
    ...inMaps(
      waitingPrefix,
      [address],
      mappings.filter((mapping) => waits(family, mapping)),
    ),
    ...(conf.snat
      ? masquerade.flatMap((set) => elements(set, [{ key: set === "hairpin" ? [address, address] : [address] }]))
      : []),
  ];
}

/** The key of a mapping in `ports` or `hostip_ports`. */
export function keyOf({ hostIp, protocol, hostPort }: Mapping): readonly string[] {
  return [...(hostIp === undefined ? [] : [hostIp]), protocol, String(hostPort)];
}

/** Parses a key of `ports` or `hostip_ports`: protocol, port and address of the host. */
export function mappingOf(
  key: NftElements["elements"][number]["key"],
): Pick<Mapping, "hostIp" | "hostPort" | "protocol"> {
  const [port = "", protocol = "", hostIp] = [...key].reverse();
  return { hostIp, hostPort: Number(port), protocol: protocol as Mapping["protocol"] };
}
