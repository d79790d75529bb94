/**
 * nf_tables' data: converts texts to register bytes and back, per data type.
 *
 * The kernel knows only lengths. Names and numbers of types are nft's own (its `enum datatypes`), stored in a set so that nft can print it.
 * In a concatenation each field takes a whole number of 4-byte registers, and the type number joins those of the fields, 6 bits each.
 */
import { addressBytes, formatAddress } from "../../net/address.ts";
import { littleEndian, MalformedError } from "../codec/attribute.ts";
import { NFT_DATA_VERDICT } from "../codec/nft-numbers.ts";

export type DataType = "ipv4_addr" | "ipv6_addr" | "inet_proto" | "inet_service" | "mark";

/** The byte order of the key, as nft writes it into a set's user data. A concatenation has none. */
export type ByteOrder = 0 | 1 | 2;
const hostOrder = 1;
const networkOrder = 2;

const types: Readonly<Record<DataType, { readonly id: number; readonly length: number; readonly order: ByteOrder }>> = {
  ipv4_addr: { id: 7, length: 4, order: networkOrder },
  ipv6_addr: { id: 8, length: 16, order: networkOrder },
  inet_proto: { id: 12, length: 1, order: networkOrder },
  inet_service: { id: 13, length: 2, order: networkOrder },
  mark: { id: 19, length: 4, order: hostOrder },
};
const typeBits = 6;

const protocols: { readonly [name: string]: number } = { icmp: 1, tcp: 6, udp: 17, "ipv6-icmp": 58, sctp: 132 };

/** The number of a protocol by name or in digits. Throws `RangeError`. */
export function protocolNumber(text: string): number {
  const number = protocols[text] ?? Number(text);
  if (!Number.isInteger(number) || number < 0 || number > 255) throw new RangeError(`cannot name protocol "${text}"`);
  return number;
}

export function typeId(fields: readonly DataType[]): number {
  return fields.reduce((id, field) => (id << typeBits) | types[field].id, 0);
}

/** The type number of a map's data; 0 for a set. */
export function dataTypeId(data: readonly DataType[] | "verdict" | undefined): number {
  if (data === undefined) return 0;
  return data === "verdict" ? NFT_DATA_VERDICT : typeId(data);
}

/** In bytes. */
export function typeLength(fields: readonly DataType[]): number {
  const [first] = fields;
  return fields.length === 1 && first !== undefined
    ? types[first].length
    : fields.reduce((length, field) => length + padded(types[field].length), 0);
}

export function byteOrder(fields: readonly DataType[]): ByteOrder {
  const [first] = fields;
  return fields.length === 1 && first !== undefined ? types[first].order : 0;
}

/** Converts one text per field to bytes. Throws `RangeError` if a text is not valid for its type. */
export function encodeFields(fields: readonly DataType[], texts: readonly string[]): Uint8Array {
  if (fields.length !== texts.length)
    throw new RangeError(`cannot encode "${texts.join(" . ")}": ${fields.join(" . ")}`);
  const bytes = new Uint8Array(typeLength(fields));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [index, type] of fields.entries()) {
    const text = texts[index] as string;
    if (type === "inet_proto") bytes[at] = protocolNumber(text);
    else if (type === "inet_service") view.setUint16(at, Number(text));
    else if (type === "mark") view.setUint32(at, Number(text), littleEndian);
    else bytes.set(addressBytes(text), at);
    at += padded(types[type].length);
  }
  return bytes;
}

/** Converts bytes to one text per field. Throws `MalformedError`. */
export function decodeFields(fields: readonly DataType[], bytes: Uint8Array): readonly string[] {
  if (bytes.length < typeLength(fields)) {
    throw new MalformedError(`cannot read ${fields.join(" . ")}: ${bytes.length} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  return fields.map((type) => {
    const start = at;
    at += padded(types[type].length);
    if (type === "inet_proto") return protocolName(view.getUint8(start));
    if (type === "inet_service") return String(view.getUint16(start));
    if (type === "mark") return String(view.getUint32(start, littleEndian));
    return formatAddress(bytes.subarray(start, start + types[type].length));
  });
}

/** The address after the last one of a prefix; `undefined` if there is none (`255.0.0.0/8`). */
export function afterPrefix(network: Uint8Array, length: number): Uint8Array | undefined {
  const next = network.slice();
  const last = length === 0 ? -1 : (length - 1) >> 3;
  let carry = last < 0 ? 0 : 1 << (7 - ((length - 1) & 7));
  for (let index = last; index >= 0 && carry > 0; index--) {
    const sum = (next[index] ?? 0) + carry;
    next[index] = sum & 0xff;
    carry = sum >> 8;
  }
  return last < 0 || carry > 0 ? undefined : next;
}

function protocolName(number: number): string {
  return Object.keys(protocols).find((name) => protocols[name] === number) ?? String(number);
}

function padded(length: number): number {
  return (length + 3) & ~3;
}
