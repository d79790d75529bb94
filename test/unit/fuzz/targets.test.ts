/**
 * The fuzz targets in TypeScript, on Node: the decoders, the parsers of texts and files, and whole plugins on the model of a node get random
 * bytes and valid inputs with changed pieces. Each returns a value or throws one specific error; its file documents its other promises.
 *
 * libFuzzer runs the same functions on the engine, with coverage (`npm run fuzz`). TORTIE_FUZZ_RUNS sets the number of runs here.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { seeds } from "../../../scripts/fuzz/seeds.ts";
import { main as document } from "../../fuzz/targets/document.ts";
import { main as json } from "../../fuzz/targets/json.ts";
import { main as kernel } from "../../fuzz/targets/kernel.ts";
import { main as netlink } from "../../fuzz/targets/netlink.ts";
import { main as request } from "../../fuzz/targets/request.ts";
import { main as store } from "../../fuzz/targets/store.ts";
import { main as text } from "../../fuzz/targets/text.ts";
import { howMany } from "../../lib/how-many.ts";
import { root } from "../../lib/suite.ts";

/** More runs for cheap targets, fewer for whole requests. */
const targets = [
  { name: "document", main: document, runs: 300 },
  { name: "json", main: json, runs: 300 },
  { name: "kernel", main: kernel, runs: 60 },
  { name: "netlink", main: netlink, runs: 1000 },
  { name: "request", main: request, runs: 60 },
  { name: "store", main: store, runs: 60 },
  { name: "text", main: text, runs: 500 },
] as const;

const times = Number(process.env.TORTIE_FUZZ_RUNS ?? 1);
const valid = seeds();

describe.each(targets)("the fuzz target $name", ({ name, main, runs }) => {
  test("takes every input that was a finding once", () => {
    for (const [, input] of inputsOf("findings", name)) main(input);
  });

  test("takes random bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => main(bytes)),
      { numRuns: howMany(runs) * times },
    );
  });

  test("takes valid inputs with pieces changed", () => {
    const inputs = valid[name] ?? [];
    expect(inputs.length).toBeGreaterThan(0);
    fc.assert(
      fc.property(fc.constantFrom(...inputs), changes, (input, list) => main(list.reduce(changed, input))),
      { numRuns: howMany(runs) * times },
    );
  });
});

interface Change {
  readonly kind: "replace" | "insert" | "remove" | "cut";
  /** As a share of the length. */
  readonly at: number;
  readonly bytes: Uint8Array;
}

const changes = fc.array(
  fc.record<Change>({
    kind: fc.constantFrom("replace", "insert", "remove", "cut"),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
  }),
  { minLength: 1, maxLength: 4 },
);

function changed(input: Uint8Array, { kind, at, bytes }: Change): Uint8Array {
  const start = Math.floor(at * input.length);
  const [head, tail] = [input.subarray(0, start), input.subarray(start)];
  if (kind === "cut") return head;
  if (kind === "remove") return joined(head, tail.subarray(bytes.length));
  return joined(head, bytes, kind === "replace" ? tail.subarray(bytes.length) : tail);
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function inputsOf(directory: "findings", target: string): readonly (readonly [string, Uint8Array])[] {
  const path = join(root, "test/fuzz", directory, target);
  if (!existsSync(path)) return [];
  return readdirSync(path).map((file) => [file, Uint8Array.from(readFileSync(join(path, file)))]);
}
