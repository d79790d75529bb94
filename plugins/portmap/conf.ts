/** Parses the configuration of `portmap`: mappings in canonical form, back end, conditions. */
import type { z } from "zod";
import { validate } from "#validators/portmap";
import { confParser } from "../../src/cni/conf.ts";
import { CniError, code } from "../../src/cni/error.ts";
import { canonicalAddress, familyOf, type TableFamily, tableFamilies } from "../../src/net/address.ts";
import type { NftStatement } from "../../src/plan/nft.ts";
import type { JsonObject } from "../../src/plugin/plugin.ts";
import { compileConditions, isIptablesStyle } from "./conditions.ts";
import type { schema } from "./schema.ts";

export type Protocol = "tcp" | "udp" | "sctp";

export interface Mapping {
  readonly protocol: Protocol;
  readonly hostPort: number;
  readonly containerPort: number;
  /** One address of the host; `undefined` means all. */
  readonly hostIp: string | undefined;
  /** The address families of the mapping. */
  readonly families: readonly TableFamily[];
}

export interface PortmapConf {
  /** `backend` if it is set, otherwise the one that other options imply, otherwise nftables. */
  readonly backend: "nftables" | "iptables";
  readonly snat: boolean;
  readonly masqAll: boolean;
  readonly markMasqBit: number;
  readonly externalSetMarkChain: string | undefined;
  /** As written in the configuration, per family. */
  readonly conditions: { readonly ip: readonly string[]; readonly ip6: readonly string[] };
  /** The conditions as nftables statements; empty with the iptables back end. */
  readonly statements: { readonly ip: readonly NftStatement[]; readonly ip6: readonly NftStatement[] };
  readonly mappings: readonly Mapping[];
}

type RawConf = z.infer<typeof schema>;
type RawMapping = NonNullable<NonNullable<RawConf["runtimeConfig"]>["portMappings"]>[number];

export const defaultMarkBit = 13;

const parse = confParser<RawConf>(validate);

/** Throws `CniError` 7 naming the key, 2 naming a condition that the back end cannot express. */
export function parseConf(document: JsonObject): PortmapConf {
  const raw = parse(document);
  const backend = parseBackend(raw);
  const conditions = { ip: raw.conditionsV4 ?? [], ip6: raw.conditionsV6 ?? [] };
  const compiled = (family: TableFamily) =>
    backend === "nftables" ? compileConditions(family, conditions[family]) : [];
  return {
    backend,
    snat: raw.snat ?? true,
    masqAll: raw.masqAll ?? false,
    markMasqBit: parseMarkBit(raw),
    externalSetMarkChain: raw.externalSetMarkChain,
    conditions,
    statements: { ip: compiled("ip"), ip6: compiled("ip6") },
    mappings: withoutRepeats((raw.runtimeConfig?.portMappings ?? []).map(parseMapping)),
  };
}

/** `8080/tcp`, `192.0.2.1:8080/tcp`, `[2001:db8::1]:8080/tcp`. */
export function describeHostPort({
  hostIp,
  hostPort,
  protocol,
}: Pick<Mapping, "hostIp" | "hostPort" | "protocol">): string {
  const address = hostIp === undefined ? "" : familyOf(hostIp) === 6 ? `[${hostIp}]:` : `${hostIp}:`;
  return `${address}${hostPort}/${protocol}`;
}

function parseBackend(raw: RawConf): "nftables" | "iptables" {
  const { backend } = raw;
  if (backend !== undefined && backend !== "nftables" && backend !== "iptables") {
    throw invalid(`cannot use backend: unrecognized backend "${backend}" (wanted "nftables" or "iptables")`);
  }
  const conditions = (["conditionsV4", "conditionsV6"] as const).filter((key) => raw[key]?.[0] !== undefined);
  const forNftables = conditions.filter((key) => !isIptablesStyle(raw[key] ?? []));
  const forIptables = [
    ...(raw.externalSetMarkChain === undefined ? [] : ["externalSetMarkChain"]),
    ...conditions.filter((key) => isIptablesStyle(raw[key] ?? [])),
  ];
  const foreign = backend === "iptables" ? forNftables : forIptables;
  if (backend !== undefined && foreign.length > 0) {
    const language = backend === "nftables" ? "iptables" : "nftables";
    throw invalid(
      `cannot use backend "${backend}": ${backend} backend was requested but configuration contains ${language}-specific options [${foreign.join(" ")}]`,
    );
  }
  if (forNftables.length > 0 && forIptables.length > 0) {
    throw invalid(
      `cannot choose a backend: configuration contains nftables-specific options [${forNftables.join(" ")}] and iptables-specific options [${forIptables.join(" ")}]; remove one kind`,
    );
  }
  if (backend !== undefined || forNftables.length > 0) return backend ?? "nftables";
  // markMasqBit alone does not imply a back end: nftables ignores it, and the reference plugin accepts it with both.
  return forIptables.length > 0 || raw.markMasqBit !== undefined ? "iptables" : "nftables";
}

function parseMarkBit({ markMasqBit, externalSetMarkChain }: RawConf): number {
  if (markMasqBit !== undefined && externalSetMarkChain !== undefined) {
    throw invalid("cannot use markMasqBit: Cannot specify externalSetMarkChain and markMasqBit");
  }
  const bit = markMasqBit ?? defaultMarkBit;
  if (bit < 0 || bit > 31) throw invalid(`cannot use markMasqBit ${bit}: MasqMarkBit must be between 0 and 31`);
  return bit;
}

function parseMapping({ hostPort, containerPort, protocol: written, hostIP }: RawMapping): Mapping {
  const protocol = written.toLowerCase();
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp") {
    throw invalid(`cannot map host port ${hostPort}: protocol is "${written}", wanted tcp, udp or sctp`);
  }
  const parts = { protocol, hostPort, containerPort } as const;
  if (!hostIP) return { ...parts, hostIp: undefined, families: tableFamilies };
  const address = canonicalAddress(hostIP);
  if (address === undefined) {
    throw invalid(`cannot map host port ${hostPort}/${protocol}: hostIP is "${hostIP}", wanted an address`);
  }
  const families = familyOf(address) === 4 ? (["ip"] as const) : (["ip6"] as const);
  const isAny = address === "0.0.0.0" || address === "::";
  return { ...parts, hostIp: isAny ? undefined : address, families };
}

/** Drops repeated mappings. Throws `CniError` 7 for two targets of one host port. */
function withoutRepeats(mappings: readonly Mapping[]): readonly Mapping[] {
  const targets = new Map<string, number>();
  return mappings.flatMap((mapping) => {
    const families = mapping.families.filter((family) => {
      const key = `${family} ${describeHostPort(mapping)}`;
      const target = targets.get(key);
      if (target !== undefined && target !== mapping.containerPort) {
        throw invalid(
          `cannot map host port ${describeHostPort(mapping)} to ${mapping.containerPort}: it is mapped to ${target} already`,
        );
      }
      targets.set(key, mapping.containerPort);
      return target === undefined;
    });
    return families.length > 0 ? [{ ...mapping, families }] : [];
  });
}

function invalid(message: string): CniError {
  return new CniError(code.invalidConfig, message);
}
