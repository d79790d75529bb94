/**
 * Compiles a plan's statements and elements to nf_tables' expressions and register bytes, as nft(8) 1.0 compiles the same text.
 *
 * The fields of a concatenation are loaded one after the other: the first into the 16-byte register 1, each further one into the first free
 * word: after an IPv4 address that is register 9, after an IPv6 address register 2.
 */
import { addressBytes, type TableFamily } from "../../net/address.ts";
import { parsePrefix } from "../../net/prefix.ts";
import { encodeUtf8 } from "../../net/text.ts";
import type { SetElement } from "../../netlink/nftables/elements.ts";
import { type Expression, hostWord, type Register } from "../../netlink/nftables/expression.ts";
import type { SetDefinition } from "../../netlink/nftables/nftables.ts";
import { afterPrefix, type DataType, encodeFields, protocolNumber } from "../../netlink/nftables/type.ts";
import type { NftElement, NftField, NftSetDefinition, NftStatement, NftType } from "../../plan/nft.ts";

const RTN_LOCAL = 2;
/** The connection's destination was translated (linux/netfilter/nf_conntrack_common.h). */
const IPS_DST_NAT = 0x20;
const interfaceNameSize = 16;

export function compileStatements(family: TableFamily, statements: readonly NftStatement[]): readonly Expression[] {
  return statements.flatMap((statement) => compileStatement(family, statement));
}

export function compileSet({ name, key, data, interval, comment }: NftSetDefinition): SetDefinition {
  return {
    name,
    key: key as readonly DataType[],
    ...(data && { data: data[0] === "verdict" ? ("verdict" as const) : (data as readonly DataType[]) }),
    ...(interval && { interval }),
    ...(comment !== undefined && { comment }),
  };
}

/** The kernel's elements for one of the plan's: an interval takes two, its first address and the first one after its end. */
export function compileElement(
  set: NftSetDefinition,
  { key, data }: NftElement,
  comment?: string,
): readonly SetElement[] {
  const remark = comment !== undefined && { comment };
  if (set.interval) {
    const [first = ""] = key;
    const prefix = parsePrefix(first);
    const bytes = prefix?.bytes ?? addressBytes(first);
    const end = afterPrefix(bytes, prefix?.length ?? bytes.length * 8);
    return [{ key: bytes, ...remark }, ...(end ? [{ key: end, intervalEnd: true }] : [])];
  }
  const datum = data && set.data && compileDatum(set.data, data);
  return [{ key: encodeFields(set.key as readonly DataType[], key), ...(datum && { data: datum }), ...remark }];
}

function compileDatum(types: readonly NftType[], texts: readonly string[]): Uint8Array | { readonly jump: string } {
  const [first = ""] = texts;
  return types[0] === "verdict"
    ? { jump: first.slice("jump ".length) }
    : encodeFields(types as readonly DataType[], texts);
}

function compileStatement(family: TableFamily, statement: NftStatement): readonly Expression[] {
  if ("match" in statement) return compileMatch(statement.match, statement.op === "!=", statement.value);
  if ("lookup" in statement) {
    const negate = statement.op === "!=";
    return [...loads(statement.lookup), { lookup: statement.set, register: 1, ...(negate && { negate }) }];
  }
  if ("verdictMap" in statement)
    return [...loads(statement.verdictMap), { lookup: statement.map, register: 1, into: 0 }];
  if ("dnatMap" in statement) {
    return [
      ...loads(statement.dnatMap),
      { lookup: statement.map, register: 1, into: 1 },
      { nat: "dnat", family, address: 1, ports: [registerAt(family === "ip" ? 1 : 4)] },
    ];
  }
  if ("addressMap" in statement) {
    const { nat, addressMap, map } = statement;
    return [...loads(addressMap), { lookup: map, register: 1, into: 1 }, { nat, family, address: 1 }];
  }
  if ("masquerade" in statement) {
    const { ports } = statement;
    return ports === undefined ? [{ masquerade: true }] : [...portLoads(ports, 1), { masquerade: true, ports: [1, 2] }];
  }
  if ("snat" in statement) {
    const { snat, ports } = statement;
    const address: Expression = { value: addressBytes(snat), to: 1 };
    if (ports === undefined) return [address, { nat: "snat", family, address: 1 }];
    return [address, ...portLoads(ports, 2), { nat: "snat", family, address: 1, ports: [2, 3] }];
  }
  return [statement];
}

/** Loads the first and the last port into registers of their own. */
function portLoads(ports: string, first: 1 | 2): readonly Expression[] {
  const [from = "", to = from] = ports.split("-");
  const load = (port: string, register: Register): Expression => ({
    value: encodeFields(["inet_service"], [port]),
    to: register,
  });
  return [load(from, first), load(to, (first + 1) as Register)];
}

/** Loads the fields of a concatenation. */
function loads(fields: readonly NftField[]): readonly Expression[] {
  let words = 0;
  return fields.map((field) => {
    const to = registerAt(words);
    words += field.startsWith("ip6") ? 4 : 1;
    return loadOf(field, to);
  });
}

/** The 16-byte registers are 1 to 4; from NFT_REG32_00, number 8, the same storage is addressed by words. The kernel dumps the former if possible. */
function registerAt(words: number): Register {
  return (words % 4 === 0 ? 1 + words / 4 : 8 + words) as Register;
}

function loadOf(field: NftField, to: Register): Expression {
  switch (field) {
    case "ip saddr":
      return { payload: "network", offset: 12, length: 4, to };
    case "ip daddr":
      return { payload: "network", offset: 16, length: 4, to };
    case "ip6 saddr":
      return { payload: "network", offset: 8, length: 16, to };
    case "ip6 daddr":
      return { payload: "network", offset: 24, length: 16, to };
    case "th sport":
      return { payload: "transport", offset: 0, length: 2, to };
    case "th dport":
      return { payload: "transport", offset: 2, length: 2, to };
    case "meta l4proto":
      return { load: "l4proto", to };
    case "meta mark":
      return { load: "mark", to };
    case "fib daddr type":
      return { routeType: "destination", to };
    case "fib saddr . iif oif":
      return { reverseRoute: "source", to };
    case "ct status":
      return { conntrack: "status", to };
    default:
      return { load: field, to };
  }
}

function compileMatch(field: NftField, negate: boolean, value: string): readonly Expression[] {
  const load = loadOf(field, 1);
  const compare = (bytes: Uint8Array): Expression => ({ compare: negate ? "neq" : "eq", register: 1, value: bytes });
  switch (field) {
    case "ip saddr":
    case "ip daddr":
    case "ip6 saddr":
    case "ip6 daddr":
      return compileAddress(load, compare, value);
    case "th sport":
    case "th dport":
      return [load, ...comparePorts(compare, negate, value)];
    case "meta l4proto":
      return [load, compare(Uint8Array.of(protocolNumber(value)))];
    case "iifname":
    case "oifname":
      return [load, compare(interfaceName(value))];
    case "meta mark":
    case "fib saddr . iif oif":
      return [load, compare(hostWord(Number(value)))];
    case "fib daddr type":
      return [load, compare(hostWord(RTN_LOCAL))];
    case "ct status":
      // A test of a bit: "is" means that the masked value is not zero.
      return [
        load,
        { and: hostWord(IPS_DST_NAT), register: 1 },
        { compare: negate ? "eq" : "neq", register: 1, value: hostWord(0) },
      ];
  }
}

/** A prefix of whole bytes is compared by loading only these, any other with a mask. */
function compileAddress(
  load: Expression,
  compare: (bytes: Uint8Array) => Expression,
  text: string,
): readonly Expression[] {
  const prefix = parsePrefix(text);
  if (prefix === undefined || prefix.length === prefix.bytes.length * 8) {
    return [load, compare(prefix?.bytes ?? addressBytes(text))];
  }
  const { bytes, length } = prefix;
  if (length % 8 === 0) {
    return [{ ...load, length: length / 8 } as Expression, compare(bytes.subarray(0, length / 8))];
  }
  const mask = bytes.map((_, index) => 0xff & ~(0xff >> Math.max(0, Math.min(8, length - index * 8))));
  return [load, { and: mask, register: 1 }, compare(bytes.map((byte, index) => byte & (mask[index] ?? 0)))];
}

function comparePorts(
  compare: (bytes: Uint8Array) => Expression,
  negate: boolean,
  text: string,
): readonly Expression[] {
  const [first = "", last] = text.split("-");
  const from = encodeFields(["inet_service"], [first]);
  if (last === undefined) return [compare(from)];
  const to = encodeFields(["inet_service"], [last]);
  if (negate) return [{ range: "neq", register: 1, from, to }];
  return [
    { compare: "gte", register: 1, value: from },
    { compare: "lte", register: 1, value: to },
  ];
}

/** Padded with zeros to the whole field; a name that ends in `*` compares only the part before it. */
function interfaceName(name: string): Uint8Array {
  if (name.endsWith("*")) return encodeUtf8(name.slice(0, -1));
  const bytes = new Uint8Array(interfaceNameSize);
  bytes.set(encodeUtf8(name));
  return bytes;
}
