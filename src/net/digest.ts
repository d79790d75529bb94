/**
 * SHA-1, SHA-256 and SHA-512 (FIPS 180-4) of a text's UTF-8 bytes, in lower-case hexadecimal; for names, not for secrets.
 *
 * In Int32 arithmetic, 64-bit words as two halves: the engine adds small integers ten times faster than BigInts.
 */
import { encodeUtf8 } from "./text.ts";

export function sha1(text: string): string {
  const words = pad(encodeUtf8(text), 64);
  const hash = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const schedule = new Int32Array(80);
  for (let offset = 0; offset < words.length; offset += 16) {
    schedule.set(words.subarray(offset, offset + 16));
    for (let t = 16; t < 80; t++) {
      schedule[t] = rotateLeft(
        at(schedule, t - 3) ^ at(schedule, t - 8) ^ at(schedule, t - 14) ^ at(schedule, t - 16),
        1,
      );
    }
    let [a = 0, b = 0, c = 0, d = 0, e = 0] = hash;
    for (let t = 0; t < 80; t++) {
      const sum = (rotateLeft(a, 5) + sha1Round(t, b, c, d) + e + at(schedule, t)) | 0;
      e = d;
      d = c;
      c = rotateLeft(b, 30);
      b = a;
      a = sum;
    }
    addTo(hash, [a, b, c, d, e]);
  }
  return hex(hash);
}

export function sha256(text: string): string {
  const words = pad(encodeUtf8(text), 64);
  const hash = Int32Array.from(squareRoots);
  const schedule = new Int32Array(64);
  for (let offset = 0; offset < words.length; offset += 16) {
    schedule.set(words.subarray(offset, offset + 16));
    for (let t = 16; t < 64; t++) {
      const w15 = at(schedule, t - 15);
      const w2 = at(schedule, t - 2);
      const s0 = rotateLeft(w15, 25) ^ rotateLeft(w15, 14) ^ (w15 >>> 3);
      const s1 = rotateLeft(w2, 15) ^ rotateLeft(w2, 13) ^ (w2 >>> 10);
      schedule[t] = at(schedule, t - 16) + s0 + at(schedule, t - 7) + s1;
    }
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = hash;
    for (let t = 0; t < 64; t++) {
      const s1 = rotateLeft(e, 26) ^ rotateLeft(e, 21) ^ rotateLeft(e, 7);
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + at(cubeRoots, t) + at(schedule, t)) | 0;
      const s0 = rotateLeft(a, 30) ^ rotateLeft(a, 19) ^ rotateLeft(a, 10);
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    addTo(hash, [a, b, c, d, e, f, g, h]);
  }
  return hex(hash);
}

/** Words of 64 bits lie as high half, low half, in one array; `state` holds a to h. */
export function sha512(text: string): string {
  const words = pad(encodeUtf8(text), 128);
  const hash = interleave(squareRoots, squareRootsLow);
  const constants = interleave([...cubeRoots, ...cubeRootsOfLargerPrimes], cubeRootsLow);
  const schedule = new Int32Array(160);
  const state = new Int32Array(16);
  for (let offset = 0; offset < words.length; offset += 32) {
    schedule.set(words.subarray(offset, offset + 32));
    for (let t = 32; t < 160; t += 2) extendSha512(schedule, t);
    state.set(hash);
    for (let t = 0; t < 160; t += 2) sha512Round(state, constants, schedule, t);
    for (let i = 0; i < 16; i += 2) {
      const low = (at(hash, i + 1) >>> 0) + (at(state, i + 1) >>> 0);
      hash[i] = at(hash, i) + at(state, i) + carry(low);
      hash[i + 1] = low;
    }
  }
  return hex(hash);
}

/** The message, 0x80, zeros, and its length in bits, as big-endian words. */
function pad(bytes: Uint8Array, blockSize: 64 | 128): Int32Array {
  const lengthSize = blockSize / 8;
  const blocks = Math.ceil((bytes.length + 1 + lengthSize) / blockSize);
  const words = new Int32Array((blocks * blockSize) / 4);
  for (let i = 0; i < bytes.length; i++) words[i >> 2] = at(words, i >> 2) | ((bytes[i] ?? 0) << (24 - 8 * (i & 3)));
  words[bytes.length >> 2] = at(words, bytes.length >> 2) | (0x80 << (24 - 8 * (bytes.length & 3)));
  words[words.length - 2] = bytes.length / 0x20000000;
  words[words.length - 1] = bytes.length << 3;
  return words;
}

function sha1Round(t: number, b: number, c: number, d: number): number {
  if (t < 20) return ((b & c) | (~b & d)) + 0x5a827999;
  if (t < 40) return (b ^ c ^ d) + 0x6ed9eba1;
  if (t < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
  return (b ^ c ^ d) + 0xca62c1d6;
}

function extendSha512(schedule: Int32Array, t: number): void {
  const h15 = at(schedule, t - 30);
  const l15 = at(schedule, t - 29);
  const h2 = at(schedule, t - 4);
  const l2 = at(schedule, t - 3);
  const low =
    (at(schedule, t - 31) >>> 0) +
    (at(schedule, t - 13) >>> 0) +
    ((right(l15, h15, 1) ^ right(l15, h15, 8) ^ right(l15, h15, 7)) >>> 0) +
    ((right(l2, h2, 19) ^ right(h2, l2, 29) ^ right(l2, h2, 6)) >>> 0);
  schedule[t] =
    at(schedule, t - 32) +
    at(schedule, t - 14) +
    (right(h15, l15, 1) ^ right(h15, l15, 8) ^ (h15 >>> 7)) +
    (right(h2, l2, 19) ^ right(l2, h2, 29) ^ (h2 >>> 6)) +
    carry(low);
  schedule[t + 1] = low;
}

function sha512Round(state: Int32Array, constants: Int32Array, schedule: Int32Array, t: number): void {
  const [ah = 0, al = 0, bh = 0, bl = 0, ch = 0, cl = 0] = state;
  const eh = at(state, 8);
  const el = at(state, 9);
  const low1 =
    (at(state, 15) >>> 0) +
    ((right(el, eh, 14) ^ right(el, eh, 18) ^ right(eh, el, 9)) >>> 0) +
    (((el & at(state, 11)) ^ (~el & at(state, 13))) >>> 0) +
    (at(constants, t + 1) >>> 0) +
    (at(schedule, t + 1) >>> 0);
  const high1 =
    at(state, 14) +
    (right(eh, el, 14) ^ right(eh, el, 18) ^ right(el, eh, 9)) +
    ((eh & at(state, 10)) ^ (~eh & at(state, 12))) +
    at(constants, t) +
    at(schedule, t) +
    carry(low1);
  const low2 =
    ((right(al, ah, 28) ^ right(ah, al, 2) ^ right(ah, al, 7)) >>> 0) + (((al & bl) ^ (al & cl) ^ (bl & cl)) >>> 0);
  const high2 =
    (right(ah, al, 28) ^ right(al, ah, 2) ^ right(al, ah, 7)) + ((ah & bh) ^ (ah & ch) ^ (bh & ch)) + carry(low2);
  const lowE = (at(state, 7) >>> 0) + (low1 >>> 0);
  const highE = at(state, 6) + high1 + carry(lowE);
  const lowA = (low1 >>> 0) + (low2 >>> 0);
  state.copyWithin(2, 0, 14);
  state[8] = highE;
  state[9] = lowE;
  state[0] = high1 + high2 + carry(lowA);
  state[1] = lowA;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** The low half of `high:low` shifted right by `bits`, 1 to 31. */
function right(low: number, high: number, bits: number): number {
  return (low >>> bits) | (high << (32 - bits));
}

/** What a sum of unsigned low halves adds to the high one. */
function carry(sum: number): number {
  return (sum / 0x100000000) | 0;
}

function at(words: ArrayLike<number>, index: number): number {
  return words[index] ?? 0;
}

function addTo(hash: Int32Array, working: readonly number[]): void {
  for (const [index, word] of working.entries()) hash[index] = at(hash, index) + word;
}

function interleave(high: readonly number[], low: readonly number[]): Int32Array {
  return Int32Array.from(low.flatMap((word, index) => [at(high, index), word]));
}

function hex(hash: Int32Array): string {
  let text = "";
  for (const word of hash) text += (word >>> 0).toString(16).padStart(8, "0");
  return text;
}

/** The first 32 bits of the fractions of the cube roots of the first 64 primes. */
const cubeRoots = [
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
  0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
  0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
  0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
  0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
  0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
];
/** The same of the next 16 primes. */
const cubeRootsOfLargerPrimes = [
  0xca273ece, 0xd186b8c7, 0xeada7dd6, 0xf57d4f7f, 0x06f067aa, 0x0a637dc5, 0x113f9804, 0x1b710b35, 0x28db77f5,
  0x32caab7b, 0x3c9ebe0a, 0x431d67c4, 0x4cc5d4be, 0x597f299c, 0x5fcb6fab, 0x6c44198c,
];
/** The next 32 bits of all 80. */
const cubeRootsLow = [
  0xd728ae22, 0x23ef65cd, 0xec4d3b2f, 0x8189dbbc, 0xf348b538, 0xb605d019, 0xaf194f9b, 0xda6d8118, 0xa3030242,
  0x45706fbe, 0x4ee4b28c, 0xd5ffb4e2, 0xf27b896f, 0x3b1696b1, 0x25c71235, 0xcf692694, 0x9ef14ad2, 0x384f25e3,
  0x8b8cd5b5, 0x77ac9c65, 0x592b0275, 0x6ea6e483, 0xbd41fbd4, 0x831153b5, 0xee66dfab, 0x2db43210, 0x98fb213f,
  0xbeef0ee4, 0x3da88fc2, 0x930aa725, 0xe003826f, 0x0a0e6e70, 0x46d22ffc, 0x5c26c926, 0x5ac42aed, 0x9d95b3df,
  0x8baf63de, 0x3c77b2a8, 0x47edaee6, 0x1482353b, 0x4cf10364, 0xbc423001, 0xd0f89791, 0x0654be30, 0xd6ef5218,
  0x5565a910, 0x5771202a, 0x32bbd1b8, 0xb8d2d0c8, 0x5141ab53, 0xdf8eeb99, 0xe19b48a8, 0xc5c95a63, 0xe3418acb,
  0x7763e373, 0xd6b2b8a3, 0x5defb2fc, 0x43172f60, 0xa1f0ab72, 0x1a6439ec, 0x23631e28, 0xde82bde9, 0xb2c67915,
  0xe372532b, 0xea26619c, 0x21c0c207, 0xcde0eb1e, 0xee6ed178, 0x72176fba, 0xa2c898a6, 0xbef90dae, 0x131c471b,
  0x23047d84, 0x40c72493, 0x15c9bebc, 0x9c100d4c, 0xcb3e42b6, 0xfc657e2a, 0x3ad6faec, 0x4a475817,
];
/** The first 32 bits of the fractions of the square roots of the first 8 primes. */
const squareRoots = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
/** The next 32 bits. */
const squareRootsLow = [0xf3bcc908, 0x84caa73b, 0xfe94f82b, 0x5f1d36f1, 0xade682d1, 0x2b3e6c1f, 0xfb41bd6b, 0x137e2179];
