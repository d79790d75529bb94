/**
 * nf_tables' expressions: the instructions of a rule, which read the packet into registers, compare, look up and act.
 *
 * Numbers and attributes are those of linux/netfilter/nf_tables.h. Attributes are in network order; metadata in registers (marks, states,
 * route types) is in the machine's order.
 *
 * **Only attributes of Linux 4.19**: an older kernel ignores an unknown attribute and does not return it, so CHECK would always report it as
 * missing.
 */
import type { TableFamily } from "../../net/address.ts";
import { littleEndian } from "../codec/attribute.ts";
import type { AttributeWriter } from "../codec/attribute-writer.ts";
import { addressFamily } from "../family.ts";

/** The verdict's register, two of 16 bytes, and those of 4 bytes in the same storage. */
export type Register = 0 | 1 | 2 | 3 | 9 | 10 | 11 | 12 | 13 | 14 | 15;

export type Expression =
  | { readonly load: "mark" | "iifname" | "oifname" | "l4proto"; readonly to: Register }
  | {
      readonly payload: "network" | "transport";
      readonly offset: number;
      readonly length: number;
      readonly to: Register;
    }
  | { readonly routeType: "destination"; readonly to: Register }
  /** The index of the interface to which the source is routed; 0: not that of the packet. */
  | { readonly reverseRoute: "source"; readonly to: Register }
  | { readonly conntrack: "status"; readonly to: Register }
  /** `register = register & mask`. */
  | { readonly and: Uint8Array; readonly register: Register }
  | {
      readonly compare: "eq" | "neq" | "lt" | "lte" | "gt" | "gte";
      readonly register: Register;
      readonly value: Uint8Array;
    }
  | { readonly range: "neq"; readonly register: Register; readonly from: Uint8Array; readonly to: Uint8Array }
  | { readonly lookup: string; readonly register: Register; readonly negate?: boolean; readonly into?: Register }
  /** `register = value`. */
  | { readonly value: Uint8Array; readonly to: Register }
  /** Translates the source or the destination; `ports`: the registers of the first and, of a range, the last port. */
  | {
      readonly nat: "snat" | "dnat";
      readonly family: TableFamily;
      readonly address: Register;
      readonly ports?: readonly [Register] | readonly [Register, Register];
    }
  | { readonly masquerade: true; readonly ports?: readonly [Register, Register] }
  | { readonly verdict: "accept" | "drop" | "return" }
  | { readonly jump: string };

const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;

const metaKeys = { mark: 3, iifname: 6, oifname: 7, l4proto: 16 } as const;
const payloadBases = { network: 1, transport: 2 } as const;
const compareOps = { eq: 0, neq: 1, lt: 2, lte: 3, gt: 4, gte: 5 } as const;
const verdictCodes = { drop: 0, accept: 1, return: -5 } as const;
const NFT_JUMP = -3;
const NFT_RANGE_NEQ = 1;
const NFT_LOOKUP_F_INV = 1;
const NFT_CT_STATUS = 2;
const NFT_FIB_RESULT_OIF = 1;
const NFT_FIB_RESULT_ADDRTYPE = 3;
const NFTA_FIB_F_SADDR = 1;
const NFTA_FIB_F_DADDR = 2;
const NFTA_FIB_F_IIF = 8;
const NF_NAT_RANGE_PROTO_SPECIFIED = 2;
const natTypes = { snat: 0, dnat: 1 } as const;

/** Writes the expressions as a list of NFTA_LIST_ELEM. */
export function writeExpressions(writer: AttributeWriter, expressions: readonly Expression[]): void {
  for (const expression of expressions) {
    const [name, data] = instruction(expression);
    writer.nest(NFTA_LIST_ELEM, () => {
      writer.string(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, () => data(writer));
    });
  }
}

/** Writes the verdict `jump <chain>` as a datum (in a rule or an element). */
export function writeJump(writer: AttributeWriter, type: number, chain: string): void {
  writer.nest(type, () => {
    writer.nest(NFTA_DATA_VERDICT, () => {
      writer.be32(NFTA_VERDICT_CODE, NFT_JUMP).string(NFTA_VERDICT_CHAIN, chain);
    });
  });
}

/** Writes bytes as a datum. */
export function writeValue(writer: AttributeWriter, type: number, value: Uint8Array): void {
  writer.nest(type, () => {
    writer.bytes(NFTA_DATA_VALUE, value);
  });
}

/** A number as in a register: 4 bytes in the machine's order. */
export function hostWord(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, littleEndian);
  return bytes;
}

/** The name of the instruction and the function that writes its attributes. */
function instruction(expression: Expression): readonly [string, (writer: AttributeWriter) => void] {
  if ("load" in expression) {
    // NFTA_META_DREG, NFTA_META_KEY
    return ["meta", (writer) => writer.be32(2, metaKeys[expression.load]).be32(1, expression.to)];
  }
  if ("payload" in expression) {
    const { to, payload, offset, length } = expression;
    // NFTA_PAYLOAD_DREG, _BASE, _OFFSET, _LEN
    return ["payload", (writer) => writer.be32(1, to).be32(2, payloadBases[payload]).be32(3, offset).be32(4, length)];
  }
  if ("routeType" in expression) {
    // NFTA_FIB_DREG, _RESULT, _FLAGS
    return [
      "fib",
      (writer) => writer.be32(3, NFTA_FIB_F_DADDR).be32(2, NFT_FIB_RESULT_ADDRTYPE).be32(1, expression.to),
    ];
  }
  if ("reverseRoute" in expression) {
    const flags = NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF;
    // NFTA_FIB_DREG, _RESULT, _FLAGS
    return ["fib", (writer) => writer.be32(3, flags).be32(2, NFT_FIB_RESULT_OIF).be32(1, expression.to)];
  }
  if ("conntrack" in expression) {
    // NFTA_CT_KEY, NFTA_CT_DREG
    return ["ct", (writer) => writer.be32(2, NFT_CT_STATUS).be32(1, expression.to)];
  }
  if ("and" in expression) return ["bitwise", (writer) => writeAnd(writer, expression.register, expression.and)];
  if ("compare" in expression) {
    const { register, compare, value } = expression;
    // NFTA_CMP_SREG, _OP, _DATA
    return ["cmp", (writer) => writeValue(writer.be32(1, register).be32(2, compareOps[compare]), 3, value)];
  }
  if ("range" in expression) {
    const { register, from, to } = expression;
    // NFTA_RANGE_SREG, _OP, _FROM_DATA, _TO_DATA
    return [
      "range",
      (writer) => {
        writeValue(writer.be32(1, register).be32(2, NFT_RANGE_NEQ), 3, from);
        writeValue(writer, 4, to);
      },
    ];
  }
  if ("lookup" in expression) return ["lookup", (writer) => writeLookup(writer, expression)];
  if ("nat" in expression) return ["nat", (writer) => writeNat(writer, expression)];
  if ("masquerade" in expression) return ["masq", (writer) => writeMasquerade(writer, expression)];
  // NFTA_IMMEDIATE_DREG, _DATA
  if ("value" in expression) {
    return ["immediate", (writer) => writeValue(writer.be32(1, expression.to), 2, expression.value)];
  }
  return ["immediate", (writer) => writeVerdict(writer, expression)];
}

function writeAnd(writer: AttributeWriter, register: Register, mask: Uint8Array): void {
  // NFTA_BITWISE_SREG, _DREG, _LEN, _MASK, _XOR. Not NFTA_BITWISE_OP (Linux 5.6): this operation is its default.
  writer.be32(1, register).be32(2, register).be32(3, mask.length);
  writeValue(writer, 4, mask);
  writeValue(writer, 5, new Uint8Array(mask.length));
}

function writeLookup(writer: AttributeWriter, lookup: Extract<Expression, { lookup: string }>): void {
  // NFTA_LOOKUP_SREG, _DREG, _SET, _FLAGS
  writer.be32(2, lookup.register);
  if (lookup.into !== undefined) writer.be32(3, lookup.into);
  writer.string(1, lookup.lookup);
  if (lookup.negate) writer.be32(5, NFT_LOOKUP_F_INV);
}

function writeNat(writer: AttributeWriter, expression: Extract<Expression, { nat: string }>): void {
  const { nat, family, address, ports } = expression;
  // NFTA_NAT_TYPE, _FAMILY, _REG_ADDR_MIN; _REG_PROTO_MIN, _MAX
  writer.be32(1, natTypes[nat]).be32(2, addressFamily(family)).be32(3, address);
  writePorts(writer, ports, 5);
}

/** Without the flag the kernel ignores the ports (nft_masq_ipv4_eval); for other translations it sets the flag itself (nft_nat_init). */
function writeMasquerade(writer: AttributeWriter, { ports }: Extract<Expression, { masquerade: true }>): void {
  // NFTA_MASQ_FLAGS; _REG_PROTO_MIN, _MAX
  if (ports !== undefined) writePorts(writer.be32(1, NF_NAT_RANGE_PROTO_SPECIFIED), ports, 2);
}

/** `type`: of the first port's register; that of the last follows. */
function writePorts(writer: AttributeWriter, ports: readonly Register[] = [], type: number): void {
  for (const [index, register] of ports.entries()) writer.be32(type + index, register);
}

function writeVerdict(writer: AttributeWriter, end: Extract<Expression, { verdict: string } | { jump: string }>): void {
  // NFTA_IMMEDIATE_DREG (the verdict's register), _DATA
  writer.be32(1, 0);
  if ("jump" in end) {
    writeJump(writer, 2, end.jump);
    return;
  }
  writer.nest(2, () => {
    writer.nest(NFTA_DATA_VERDICT, () => {
      writer.be32(NFTA_VERDICT_CODE, verdictCodes[end.verdict]);
    });
  });
}
