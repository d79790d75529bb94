/** Encodes and decodes UTF-8 (RFC 3629), because the engine has no TextEncoder. */

/** The bytes of a text; a lone surrogate becomes U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  let end = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) {
      bytes[end++] = unit;
      continue;
    }
    const point = text.codePointAt(i) ?? 0;
    if (point > 0xffff) i++;
    end = writePoint(bytes, end, point >= 0xd800 && point < 0xe000 ? replacement : point);
  }
  return bytes.slice(0, end);
}

/** The text of bytes; each ill-formed sequence becomes one U+FFFD, cut as the Unicode standard recommends (its section 3.9). */
export function decodeUtf8(bytes: Uint8Array): string {
  if (bytes.length <= maxArguments) {
    const units = String.fromCharCode.apply(undefined, bytes as Iterable<number> as number[]);
    // Most texts are ASCII, and need no decoding.
    if (!/[^\0-\x7f]/.test(units)) return units;
  }
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const lead = byteAt(bytes, i++);
    if (lead < 0x80) {
      text += String.fromCharCode(lead);
      continue;
    }
    let missing = lead < 0xc2 || lead > 0xf4 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    let point = missing === 0 ? replacement : lead & (0x3f >> missing);
    // The range of the second byte excludes overlong forms, surrogates and values beyond U+10FFFF.
    let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    for (; missing > 0; missing--) {
      const next = byteAt(bytes, i);
      if (next < low || next > high) break;
      point = (point << 6) | (next & 0x3f);
      low = 0x80;
      high = 0xbf;
      i++;
    }
    text += String.fromCodePoint(missing > 0 ? replacement : point);
  }
  return text;
}

const replacement = 0xfffd;
/** An argument list may be much longer, but names and comments are shorter. */
const maxArguments = 256;

function writePoint(bytes: Uint8Array, start: number, point: number): number {
  let end = start;
  if (point < 0x800) {
    bytes[end++] = 0xc0 | (point >> 6);
  } else {
    if (point < 0x10000) {
      bytes[end++] = 0xe0 | (point >> 12);
    } else {
      bytes[end++] = 0xf0 | (point >> 18);
      bytes[end++] = 0x80 | ((point >> 12) & 0x3f);
    }
    bytes[end++] = 0x80 | ((point >> 6) & 0x3f);
  }
  bytes[end++] = 0x80 | (point & 0x3f);
  return end;
}

/** Beyond the end: 0, which is not a continuation byte. */
function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
