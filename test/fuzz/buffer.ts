/** The two functions of Node's `Buffer` that the model of the kernel uses, because the engine has no `Buffer`. */
import { encodeUtf8 } from "../../src/net/text.ts";

(globalThis as { Buffer?: unknown }).Buffer ??= {
  byteLength: (text: string) => encodeUtf8(text).length,
  compare(one: Uint8Array, other: Uint8Array): number {
    for (let i = 0; i < Math.min(one.length, other.length); i++) {
      const difference = (one[i] ?? 0) - (other[i] ?? 0);
      if (difference !== 0) return Math.sign(difference);
    }
    return Math.sign(one.length - other.length);
  },
};
