/**
 * SHA-1, SHA-256 and SHA-512 (FIPS 180-4) of a text's UTF-8 bytes, in lower-case hexadecimal. They are for names, not for secrets.
 *
 * They use Int32 arithmetic, with 64-bit words as two halves, because the engine adds small integers ten times faster than BigInts. Rotations
 * are written out, because a call costs as much as ten of them. The casts state that an index is within its array.
 */
import { encodeUtf8 } from "./text.ts";

export function sha1(text: string): string {
  const words = pad(encodeUtf8(text), 64);
  const hash = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const w = new Int32Array(80);
  for (let offset = 0; offset < words.length; offset += 16) {
    w.set(words.subarray(offset, offset + 16));
    for (let t = 16; t < 80; t++) {
      const mixed = (w[t - 3] as number) ^ (w[t - 8] as number) ^ (w[t - 14] as number) ^ (w[t - 16] as number);
      w[t] = (mixed << 1) | (mixed >>> 31);
    }
    sha1Rounds(hash, w);
  }
  return hex(hash);
}

export function sha256(text: string): string {
  const words = pad(encodeUtf8(text), 64);
  const hash = Int32Array.from(squareRoots);
  const w = new Int32Array(64);
  for (let offset = 0; offset < words.length; offset += 16) {
    w.set(words.subarray(offset, offset + 16));
    for (let t = 16; t < 64; t++) {
      const x = w[t - 15] as number;
      const y = w[t - 2] as number;
      const s0 = ((x << 25) | (x >>> 7)) ^ ((x << 14) | (x >>> 18)) ^ (x >>> 3);
      const s1 = ((y << 15) | (y >>> 17)) ^ ((y << 13) | (y >>> 19)) ^ (y >>> 10);
      w[t] = (w[t - 16] as number) + s0 + (w[t - 7] as number) + s1;
    }
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = hash;
    for (let t = 0; t < 64; t++) {
      const s1 = ((e << 26) | (e >>> 6)) ^ ((e << 21) | (e >>> 11)) ^ ((e << 7) | (e >>> 25));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (cubeRoots[t] as number) + (w[t] as number)) | 0;
      const s0 = ((a << 30) | (a >>> 2)) ^ ((a << 19) | (a >>> 13)) ^ ((a << 10) | (a >>> 22));
      const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
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

/** One array stores each 64-bit word as high half, low half; so does `state` for its eight words, a to h. */
export function sha512(text: string): string {
  const words = pad(encodeUtf8(text), 128);
  const hash = interleave(squareRoots, squareRootsLow);
  const constants = interleave([...cubeRoots, ...cubeRootsOfLargerPrimes], cubeRootsLow);
  const w = new Int32Array(160);
  const state = new Int32Array(16);
  for (let offset = 0; offset < words.length; offset += 32) {
    w.set(words.subarray(offset, offset + 32));
    for (let t = 32; t < 160; t += 2) extendSha512(w, t);
    state.set(hash);
    for (let t = 0; t < 160; t += 2) sha512Round(state, constants, w, t);
    for (let i = 0; i < 16; i += 2) {
      const low = ((hash[i + 1] as number) >>> 0) + ((state[i + 1] as number) >>> 0);
      hash[i] = (hash[i] as number) + (state[i] as number) + (low > 0xffffffff ? 1 : 0);
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
  // Bytes beyond the end are undefined, which bit operators treat as 0.
  for (let i = 0; i < bytes.length; i += 4) {
    const high = ((bytes[i] as number) << 24) | ((bytes[i + 1] as number) << 16);
    words[i >> 2] = high | ((bytes[i + 2] as number) << 8) | (bytes[i + 3] as number);
  }
  words[bytes.length >> 2] = (words[bytes.length >> 2] as number) | (0x80 << (24 - 8 * (bytes.length & 3)));
  words[words.length - 2] = bytes.length / 0x20000000;
  words[words.length - 1] = bytes.length << 3;
  return words;
}

/** Four loops, because choosing the function in each of 80 rounds would take longer than the function. */
function sha1Rounds(hash: Int32Array, w: Int32Array): void {
  let [a = 0, b = 0, c = 0, d = 0, e = 0] = hash;
  for (let t = 0; t < 20; t++) {
    const sum = (((a << 5) | (a >>> 27)) + e + (w[t] as number) + ((b & c) | (~b & d)) + 0x5a827999) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = sum;
  }
  for (let t = 20; t < 40; t++) {
    const sum = (((a << 5) | (a >>> 27)) + e + (w[t] as number) + (b ^ c ^ d) + 0x6ed9eba1) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = sum;
  }
  for (let t = 40; t < 60; t++) {
    const sum = (((a << 5) | (a >>> 27)) + e + (w[t] as number) + ((b & c) | (b & d) | (c & d)) - 0x70e44324) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = sum;
  }
  for (let t = 60; t < 80; t++) {
    const sum = (((a << 5) | (a >>> 27)) + e + (w[t] as number) + (b ^ c ^ d) - 0x359d3e2a) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = sum;
  }
  addTo(hash, [a, b, c, d, e]);
}

/** In sums of low halves, the excess over 32 bits is carried into the high half. */
function extendSha512(w: Int32Array, t: number): void {
  const h15 = w[t - 30] as number;
  const l15 = w[t - 29] as number;
  const h2 = w[t - 4] as number;
  const l2 = w[t - 3] as number;
  const low =
    ((w[t - 31] as number) >>> 0) +
    ((w[t - 13] as number) >>> 0) +
    ((((l15 >>> 1) | (h15 << 31)) ^ ((l15 >>> 8) | (h15 << 24)) ^ ((l15 >>> 7) | (h15 << 25))) >>> 0) +
    ((((l2 >>> 19) | (h2 << 13)) ^ ((h2 >>> 29) | (l2 << 3)) ^ ((l2 >>> 6) | (h2 << 26))) >>> 0);
  w[t] =
    (w[t - 32] as number) +
    (w[t - 14] as number) +
    (((h15 >>> 1) | (l15 << 31)) ^ ((h15 >>> 8) | (l15 << 24)) ^ (h15 >>> 7)) +
    (((h2 >>> 19) | (l2 << 13)) ^ ((l2 >>> 29) | (h2 << 3)) ^ (h2 >>> 6)) +
    Math.floor(low / 0x100000000);
  w[t + 1] = low;
}

function sha512Round(s: Int32Array, constants: Int32Array, w: Int32Array, t: number): void {
  const ah = s[0] as number;
  const al = s[1] as number;
  const bh = s[2] as number;
  const bl = s[3] as number;
  const ch = s[4] as number;
  const cl = s[5] as number;
  const eh = s[8] as number;
  const el = s[9] as number;
  const low1 =
    ((s[15] as number) >>> 0) +
    ((((el >>> 14) | (eh << 18)) ^ ((el >>> 18) | (eh << 14)) ^ ((eh >>> 9) | (el << 23))) >>> 0) +
    (((el & (s[11] as number)) ^ (~el & (s[13] as number))) >>> 0) +
    ((constants[t + 1] as number) >>> 0) +
    ((w[t + 1] as number) >>> 0);
  const high1 =
    (s[14] as number) +
    (((eh >>> 14) | (el << 18)) ^ ((eh >>> 18) | (el << 14)) ^ ((el >>> 9) | (eh << 23))) +
    ((eh & (s[10] as number)) ^ (~eh & (s[12] as number))) +
    (constants[t] as number) +
    (w[t] as number) +
    Math.floor(low1 / 0x100000000);
  const low2 =
    ((((al >>> 28) | (ah << 4)) ^ ((ah >>> 2) | (al << 30)) ^ ((ah >>> 7) | (al << 25))) >>> 0) +
    (((al & bl) ^ (al & cl) ^ (bl & cl)) >>> 0);
  const high2 =
    (((ah >>> 28) | (al << 4)) ^ ((al >>> 2) | (ah << 30)) ^ ((al >>> 7) | (ah << 25))) +
    ((ah & bh) ^ (ah & ch) ^ (bh & ch));
  const lowE = ((s[7] as number) >>> 0) + (low1 >>> 0);
  const highE = (s[6] as number) + high1 + (lowE > 0xffffffff ? 1 : 0);
  const lowA = (low1 >>> 0) + low2;
  s.copyWithin(2, 0, 14);
  s[8] = highE;
  s[9] = lowE;
  s[0] = high1 + high2 + Math.floor(lowA / 0x100000000);
  s[1] = lowA;
}

function addTo(hash: Int32Array, working: readonly number[]): void {
  for (let i = 0; i < working.length; i++) hash[i] = (hash[i] as number) + (working[i] as number);
}

function interleave(high: readonly number[], low: readonly number[]): Int32Array {
  return Int32Array.from(low.flatMap((word, index) => [high[index] as number, word]));
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
/** The same for the next 16 primes. */
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
