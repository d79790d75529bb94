/**
 * The labels by which Calico 3.31 and later finds a node's affinities.
 *
 *     projectcalico.org/affinity-type: host
 *     projectcalico.org/hostname-hash: RCUE3T4Y…     base32 (RFC 4648, no padding) of SHA3-256 (FIPS 202) of the node's name
 *     projectcalico.org/ip-version: "4"
 *
 * Computed once per claimed block.
 */
import { encodeUtf8 } from "../net/text.ts";

/** Calico does not find an affinity without them. */
export function affinityLabels(node: string, cidr: string, type = "host"): Readonly<Record<string, string>> {
  return {
    "projectcalico.org/affinity-type": type,
    "projectcalico.org/hostname-hash": hostnameHash(node),
    "projectcalico.org/ip-version": cidr.includes(":") ? "6" : "4",
  };
}

export function hostnameHash(node: string): string {
  return base32(sha3of256(encodeUtf8(node)));
}

/** Bytes absorbed by one round of the sponge: 1,600 bits minus twice the digest's. */
const rate = 136;
const digestLength = 32;

function sha3of256(message: Uint8Array): Uint8Array {
  const padded = new Uint8Array((Math.floor(message.length / rate) + 1) * rate);
  padded.set(message);
  padded[message.length] = 0x06;
  padded[padded.length - 1] = (padded[padded.length - 1] ?? 0) | 0x80;
  const lanes = new BigUint64Array(25);
  const state = new Uint8Array(lanes.buffer);
  for (let offset = 0; offset < padded.length; offset += rate) {
    for (let i = 0; i < rate; i++) state[i] = (state[i] ?? 0) ^ (padded[offset + i] ?? 0);
    permute(lanes);
  }
  return state.slice(0, digestLength);
}

/** Keccak-f[1600], lane (x, y) at x + 5y. The machines we run on are little-endian, as the standard's lanes are. */
function permute(a: BigUint64Array): void {
  let constant = 1;
  for (let round = 0; round < 24; round++) {
    theta(a);
    rhoAndPi(a);
    chi(a);
    // Iota: the round constant has bits at 2^j - 1, taken from a shift register (FIPS 202 section 3.2.5).
    for (let j = 0; j < 7; j++) {
      if (constant & 1) a[0] = at(a, 0) ^ (1n << BigInt((1 << j) - 1));
      constant = (constant << 1) ^ (constant >> 7 ? 0x171 : 0);
    }
  }
}

function theta(a: BigUint64Array): void {
  const columns = Array.from(
    { length: 5 },
    (_, x) => at(a, x) ^ at(a, x + 5) ^ at(a, x + 10) ^ at(a, x + 15) ^ at(a, x + 20),
  );
  for (let i = 0; i < 25; i++) {
    a[i] = at(a, i) ^ (columns[(i + 4) % 5] ?? 0n) ^ rotate(columns[(i + 1) % 5] ?? 0n, 1);
  }
}

/** Rotates each lane by 1, 3, 6, 10, … bits, and moves it to the next lane's place. */
function rhoAndPi(a: BigUint64Array): void {
  let [x, y] = [1, 0];
  let carried = at(a, 1);
  for (let t = 0; t < 24; t++) {
    [x, y] = [y, (2 * x + 3 * y) % 5];
    const place = x + 5 * y;
    const next = at(a, place);
    a[place] = rotate(carried, (((t + 1) * (t + 2)) / 2) % 64);
    carried = next;
  }
}

function chi(a: BigUint64Array): void {
  for (let y = 0; y < 25; y += 5) {
    const row = a.slice(y, y + 5);
    for (let x = 0; x < 5; x++) a[y + x] = at(row, x) ^ (~at(row, (x + 1) % 5) & at(row, (x + 2) % 5));
  }
}

function rotate(lane: bigint, bits: number): bigint {
  return BigInt.asUintN(64, (lane << BigInt(bits)) | (lane >> BigInt(64 - bits)));
}

function at(lanes: BigUint64Array, index: number): bigint {
  return lanes[index] ?? 0n;
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

function base32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += alphabet[(value >> (bits - 5)) & 31];
    value &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + alphabet[(value << (5 - bits)) & 31];
}
