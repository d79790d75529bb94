/** The engine: its bugs that patches of src/host/native/patches fix, the parts that we removed, and what it must never do. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { buildExecutable } from "../../../scripts/build/executable.ts";
import { isSanitized, isStock } from "../../lib/suite.ts";
import { toolchain, workDirectoryOf } from "../../lib/toolchain.ts";

const workDirectory = workDirectoryOf("engine-test");
const targetDirectory = join(workDirectory, "bin");
const out = `import { quickjsSys as sys } from "./src/host/quickjs.ts"; const say = (text) => sys.write("stdout", String(text));`;

/** Expressions with the same value on Node and on the engine. */
const expressions: readonly (readonly [patch: string, expression: string])[] = [
  ["bigint-text", "(2n ** 64n - 1n).toString()"],
  ["bigint-print", "(2n ** 126n + 5n).toString(8)"],
  ["bigint-print", "(-(2n ** 190n)).toString(32)"],
  ["bigint-parse", "BigInt('1' + '0'.repeat(500)).toString(16)"],
  ["last-index-of", "new Uint8Array([7, 8, 9]).lastIndexOf(9, -1e-20)"],
  ["last-index-of", "new Uint8Array([7, 8, 7]).lastIndexOf(7, -1e-20)"],
  [
    "last-index-of",
    "[new Uint8Array([7, 8]).lastIndexOf(7, -3), new Uint8Array([7, 8]).lastIndexOf(8, Infinity)].join()",
  ],
  ["add-loc", "((text) => { text += { toString() { text = text.repeat(99); return '!'; } }; return text; })('ab')"],
  [
    "json-numbers",
    "['-01', '1.', '1.e5'].map((text) => { try { return JSON.parse(text); } catch { return 'no'; } }).join()",
  ],
];

const answers = `${out} export function main() { say(JSON.stringify([${expressions.map(([, text]) => `String(${text})`).join(", ")}])); }`;
/** A stack names each kind of function, though none has a property `name`. */
const thrower = `${out}
  const arrow = () => { throw new Error("x"); };
  const anonymous = function () { arrow(); };
  const object = { member: () => anonymous(), method() { this.member(); }, get getter() { return this.method(); } };
  class Example { #private() { object.getter; } method() { this.#private(); } static field = () => new Example().method(); }
  function* generator() { yield Example.field(); }
  export function main() { try { generator().next(); } catch (error) { say(error.stack); } }`;
const names = [
  "arrow",
  "anonymous",
  "member",
  "method",
  "getter",
  "#private",
  "method",
  "field",
  "generator",
  "next",
  "main",
];
const properties = `${out}
  const plain = () => 1;
  function* generator(a, b) { yield 1; }
  class Example { constructor(a) {} }
  export function main() {
    const tied = plain.bind(undefined);
    const mine = Object.assign(() => 2, { mine: 1 });
    let refused = ""; try { new plain(); } catch (error) { refused = error.message; }
    say(JSON.stringify([
      Object.getOwnPropertyNames(plain), generator.length, [...generator()], generator() instanceof Object, Object.getOwnPropertyNames(Example),
      Example.name, Example.length, tied(), tied.name, Object.keys(mine), mine(), refused,
    ]));
  }`;
const chain = `${out} export function main() { let n = 0, last; for (; n < 200000; n++) last = { last }; last = undefined; say(n); }`;
const eater = `export function main() { for (const all = []; ; ) all.push(new Uint8Array(1 << 20)); }`;
const waiter = `export function main() { Promise.resolve().then(() => 1); }`;

beforeAll(async () => {
  const programs = { answers, chain, eater, properties, thrower, waiter };
  await buildExecutable({ programs, workDirectory, targetDirectory, define: {} }, toolchain);
});

function start(program: string, before = ""): { readonly status: number | null; readonly stdout: string } {
  const script = `${before} exec ${join(targetDirectory, program)}`;
  return spawnSync("/bin/sh", ["-c", script], { encoding: "utf8", env: {}, input: "" });
}

describe("the engine", () => {
  test.for(expressions.map((each, index) => [...each, index] as const))(
    "has %s: %s is what it is on Node",
    ([, expression, index]) => {
      const { stdout } = start("answers");
      expect(JSON.parse(stdout)[index]).toBe(String(new Function(`return ${expression}`)()));
    },
  );

  test("names each function in a stack", ({ skip }) => {
    skip(isStock, "it names them in other words");
    // The bundle numbers names that several programs have.
    const named = Array.from(start("thrower").stdout.matchAll(/^ +at (\S+?)\d* /gm), ([, name]) => name);
    expect(named.slice(0, names.length)).toEqual(names);
  });

  test("gives functions no properties, and classes theirs", ({ skip }) => {
    skip(isStock, "it gives them theirs");
    expect(JSON.parse(start("properties").stdout)).toEqual([
      [],
      0,
      [1],
      true,
      ["length", "name", "prototype"],
      "Example",
      1,
      1,
      "bound ",
      ["mine"],
      2,
      "not a constructor",
    ]);
  });

  test("frees what a long chain of objects holds without recursion, and answers", () => {
    expect(start("chain").stdout).toBe("200000");
  });

  test("out of memory ends with an answer", ({ skip }) => {
    skip(isSanitized, "sanitizers need more addresses than any limit would leave them");
    skip(isStock, "its own paths for that are not tried");
    const { status, stdout } = start("eater", "ulimit -v 300000;");
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ code: 999, msg: "out of memory" });
  });

  test("does not end silently where a program waits for a promise", () => {
    const { status, stdout } = start("waiter");
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ code: 999, details: "waiter" });
  });

  test.for(["Math.sin(1)", "Math.random()", "Atomics.load(new Int32Array(1), 0)", "new Date(0).getHours()"])(
    "is not built into an executable with a program that names what it lacks: %s",
    async (call, { skip }) => {
      skip(isStock, "it has that");
      const directory = workDirectoryOf("engine-test-lacking");
      const program = `export const main = () => ${call};`;
      const options = { workDirectory: directory, targetDirectory: join(directory, "bin"), define: {} };
      await expect(buildExecutable({ ...options, programs: { program } }, toolchain)).rejects.toThrow(
        "the engine has no",
      );
    },
  );
});
