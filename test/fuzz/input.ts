/** Consumes the bytes of a fuzzer from the front as choices and pieces. Beyond the end it returns zeros, so every input is valid. */
import { decodeUtf8 } from "../../src/net/text.ts";

export class Input {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isEmpty(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  half(): number {
    return this.byte() | (this.byte() << 8);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.byte() % choices.length] as T;
  }

  take(count: number): Uint8Array {
    const piece = this.#bytes.subarray(this.#at, this.#at + count);
    this.#at += piece.length;
    return piece;
  }

  /** A piece whose length is its first byte. */
  piece(): Uint8Array {
    return this.take(this.byte());
  }

  rest(): Uint8Array {
    return this.take(this.#bytes.length);
  }

  text(): string {
    return decodeUtf8(this.rest());
  }
}
