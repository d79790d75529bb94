/** `Sys` on the native host: the same cases as on Node, and those that need the kernel; then the start of the executable. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildExecutable, takeImage } from "../../../scripts/build/executable.ts";
import { type Completed, Node } from "../../lib/node/netns.ts";
import { nativeSysCases, sysCases } from "../../lib/programs/sys-cases.ts";
import { isSanitized, isStock } from "../../lib/suite.ts";
import { toolchain, workDirectoryOf } from "../../lib/toolchain.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const workDirectory = workDirectoryOf("sys-test");
const targetDirectory = join(workDirectory, "bin");

/** Runs the case named by the first argument, in the directory named by the second. */
const runCase = `
  import { quickjsSys as sys } from "./src/host/quickjs.ts";
  import { nativeSysCases, sysCases } from "./test/lib/programs/sys-cases.ts";
  export function main() {
    const [, name, directory] = sys.args();
    try {
      [...sysCases, ...nativeSysCases].find((candidate) => candidate.name === name).run(sys, directory);
      sys.write("stdout", "kept");
    } catch (error) {
      sys.write("stdout", String(error) + "\\n" + error.stack);
    }
    sys.exit(0);
  }
`;

const echo = `
  import { quickjsSys as sys } from "./src/host/quickjs.ts";
  export function main() {
    sys.write("stdout", sys.readStdin(10_000_000, 10_000));
    sys.exit(0);
  }
`;

const limited = `
  import { quickjsSys as sys } from "./src/host/quickjs.ts";
  export function main() {
    try { sys.readStdin(1000, 10_000); } catch (error) { sys.write("stdout", error.code); }
  }
`;

const impatient = `
  import { quickjsSys as sys } from "./src/host/quickjs.ts";
  export function main() {
    try { sys.readStdin(1000, 30); } catch (error) { sys.write("stdout", error.code); }
  }
`;

/** Opens a file, then writes to standard output, which must not end up in the file. */
const opener = `
  import { quickjsSys as sys } from "./src/host/quickjs.ts";
  export function main() {
    const [, path] = sys.args();
    const lock = sys.lock(path, "exclusive", 0);
    try {
      try { sys.write("stdout", "result"); } catch (error) { sys.write("stderr", error.code); }
    } catch {}
    sys.exit(lock.fd > 2 ? 0 : 1);
  }
`;

const thrower = `
  export function main() {
    function fails(value) {
      return value.missing.name;
    }
    fails({});
  }
`;

const stacker = `
  import { quickjsSys as sys } from "./src/host/quickjs.ts";
  import { resolveStack } from "./src/host/stack.ts";
  import { isErrno } from "./src/host/sys.ts";
  export function main() {
    try { isErrno(new Error(), ...undefined); } catch (error) { sys.write("stdout", resolveStack(error.stack)); }
  }
`;

const exhauster = `
  export function main() {
    const list = [];
    function deeper(n) { return deeper(n + 1) + 1; }
    deeper(0);
  }
`;

/** Code that this version of the engine does not compile without patches/yield-in-for-of.patch. */
const generator = `
  import { quickjsSys as sys } from "./src/host/quickjs.ts";
  const log = [];
  function* list() { yield 1; return [1, 2, 3, 4]; }
  function* upToThree() {
    for (const value of yield* list()) {
      log.push(value);
      if (value === 3) return "three";
    }
  }
  function* endless() {
    try {
      for (const value of yield "asked") log.push(value);
    } finally {
      log.push("finally");
    }
  }
  export function main() {
    const first = upToThree();
    first.next();
    log.push(first.next().value);
    const second = endless();
    log.push(second.next().value, second.return("early").value);
    sys.write("stdout", log.join(" "));
  }
`;

/** Changes every changeable object of the image, whose references are not counted: see patches/frozen.patch. */
const mutations = `
  const text = ["sha", "red"].join("");
  const [one, other] = [{ a: 1, b: 2 }, { a: 3, b: 4 }];
  const single = { p: 1, q: 2, r: 3, s: 4, t: 5 };
  const bag = {};
  for (const index of [1, 2, 3]) bag["key" + index] = index;
  const list = [1, 2, 3];
  const map = new Map([["x", { deep: [text] }]]);
  let variable = [text];
  class Counter {
    static made = 0;
    #count = 0;
    up() {
      Counter.made++;
      return ++this.#count;
    }
  }
  const counter = new Counter();

  function mutate() {
    let longer = text;
    longer += "!";
    longer += longer;
    one.c = (one.c ?? 0) + 1;
    delete other.a;
    other.d = { ...one };
    delete bag.key1;
    bag["key" + (4 + one.c)] = longer;
    list.push(4, text);
    list.shift();
    list.reverse();
    map.get("x").deep.push(longer);
    map.set("y" + one.c, one);
    variable = [longer, ...variable];
    Counter.prototype.down = function () { return -this.up(); };
    Object.defineProperty(other, "e", { get: () => text.length, enumerable: true, configurable: true });
    const fresh = { a: 6, b: 7 };
    fresh.c = text + text;
    const twin = { p: 6, q: 7, r: 8, s: 9, t: 10 };
    twin.u = 11;
    return JSON.stringify([text, one, other, single, Object.keys(single), twin, bag, list, [...map], variable, counter.down(), Counter.made, fresh, longer]);
  }
`;

const mutator = `
  import { quickjsSys as sys } from "./src/host/quickjs.ts";
  ${mutations}
  export function main() {
    for (let round = 0; round < 20; round++) sys.write("stdout", mutate() + "\\n");
  }
`;

/** Its top level creates lasting shapes among many with temporary prototypes: the engine hashes shapes by the addresses of their prototypes. */
const shaper = `
  const temporary = [];
  const lasting = [];
  for (let index = 0; index < 200; index++) {
    temporary.push(Object.create({ index }));
    lasting.push(Object.assign(Object.create(null), { ["key" + index]: index, two: 2 }));
  }
  for (const object of lasting) delete object.two;
  temporary.length = 0;
  export const main = () => lasting.length;
`;

let node: Node;

beforeAll(async () => {
  const programs = {
    case: runCase,
    echo,
    limited,
    impatient,
    opener,
    thrower,
    stacker,
    exhauster,
    generator,
    mutator,
    shaper,
  };
  await buildExecutable({ programs, workDirectory, targetDirectory, define: {} }, toolchain);
  node = await Node.start();
  node.addPod("other");
  node.sh("ip -n other link add marker0 type ifb; mkdir /run/cases");
});

afterAll(async () => {
  await node?.stop();
});

test.for([...sysCases, ...nativeSysCases])("on the native host, $name", ({ name }, { skip }) => {
  skip(
    isSanitized && name.startsWith("memory that is freed"),
    "sanitizers keep freed memory, to see who still uses it",
  );
  const directory = node.sh("mktemp -d /run/cases/XXXXXX").trim();
  const program = node.start([join(targetDirectory, "case"), name, directory]);
  return new Promise<void>((resolve, reject) => {
    let output = "";
    program.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    program.on("error", reject);
    program.on("close", () => (output === "kept" ? resolve() : reject(new Error(output))));
  });
});

describe("the executable", () => {
  test("takes megabytes on stdin and gives them back", () => {
    const text = "ünïcödé 🐈 ".repeat(150_000);
    expect(start("echo", { input: text }).stdout === text).toBe(true);
  });

  test("refuses more on stdin than its limit", () => {
    expect(start("limited", { input: "x".repeat(100_000) }).stdout).toBe("EFBIG");
  });

  test("waits no longer than it is told for the end of stdin", () => {
    const { stdout } = node.run([
      "/bin/bash",
      "-c",
      `${join(targetDirectory, "impatient")} < <(echo '{'; exec sleep 5)`,
    ]);
    expect(stdout).toBe("ETIMEDOUT");
  });

  test("makes U+FFFD of bytes that are not UTF-8", () => {
    const { stdout } = node.run(["/bin/sh", "-c", `printf 'a\\377b' | ${join(targetDirectory, "echo")}`]);
    expect(stdout).toBe("a\ufffdb");
  });

  test.each(["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])(
    "opens no file as a standard stream when started with %s",
    (closed) => {
      const { status } = node.run(["/bin/sh", "-c", `${join(targetDirectory, "opener")} /run/lock-file ${closed}`]);
      // Only the byte of the lock itself, and no output.
      expect({ status, text: node.sh("cat /run/lock-file") }).toEqual({ status: 0, text: "1" });
    },
  );

  test("gets an exception, not a signal, from a reader that is gone", () => {
    const { stderr } = node.run([
      "/bin/bash",
      "--norc",
      "-c",
      `{ sleep 0.2; ${join(targetDirectory, "opener")} /run/pipe-lock; } | true`,
    ]);
    expect(stderr).toBe("EPIPE");
  });

  test("answers with code 999 for an exception that nobody caught", () => {
    const { status, stdout } = start("thrower", {});
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      code: 999,
      msg: expect.stringContaining("cannot read property 'name'"),
    });
    expect(JSON.parse(stdout).details).toContain("at fails (bundle:");
  });

  test("answers with code 999 when the stack is exhausted", () => {
    const { status, stdout } = start("exhauster", {});
    expect({ status, code: JSON.parse(stdout).code }).toEqual({ status: 1, code: 999 });
  });

  test("answers with code 999 under a name that no plugin has", () => {
    const { status, stdout } = node.run([
      "/bin/bash",
      "--norc",
      "-c",
      `exec -a /opt/cni/bin/other ${join(targetDirectory, "echo")}`,
    ]);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ code: 999, details: "other" });
  });

  test("runs a yield in the head of for-of", () => {
    expect(start("generator", {}).stdout).toBe("1 2 3 three finally asked early");
  });

  test("changes what comes out of the image as if nothing were frozen", () => {
    const mutate: () => string = new Function(`${mutations} return mutate;`)();
    const wanted = Array.from({ length: 20 }, () => `${mutate()}\n`).join("");
    expect(start("mutator", {}).stdout).toBe(wanted);
  });

  test("does the same without an image", ({ skip }) => {
    skip(isSanitized || isStock, "the sanitized build cannot begin without one, and the stock build never has one");
    const directory = node.sh("mktemp -d /run/cases/XXXXXX").trim();
    node.sh(`cp ${join(workDirectory, "image")} ${directory}/generator`);
    expect(node.run([`${directory}/generator`]).stdout).toBe("1 2 3 three finally asked early");
  });

  test("writes the same image in each of 300 runs, wherever the kernel puts its memory", async ({ skip }) => {
    skip(isSanitized || isStock, "the sanitized build runs at fixed addresses, and the stock build takes no image");
    const command = [join(workDirectory, "image")];
    const first = await takeImage(command);
    for (let run = 1; run < 100; run++) expect((await takeImage(command)).equals(first)).toBe(true);
  });

  test.for([
    ["the environment", "sys.environment()"],
    ["the time", "sys.wallClock()"],
    ["random bytes", "sys.randomBytes(8)"],
    ["its process id", "sys.pid()"],
  ])("is not built from a module whose top level asks for %s", async ([, call], { skip }) => {
    skip(isStock, "the stock build takes no image");
    const frozen = `import { quickjsSys as sys } from "./src/host/quickjs.ts"; const kept = ${call}; export const main = () => kept;`;
    const directory = join(root, "build/sys-test-frozen");
    const built = buildExecutable({
      programs: { frozen },
      workDirectory: directory,
      targetDirectory: join(directory, "bin"),
      define: {},
    });
    await expect(built).rejects.toThrow("the top level of some module asks");
  });

  test("tells a stack in lines of the sources", () => {
    expect(start("stacker", {}).stdout).toMatch(/at main\d* \(program:stacker:6\)/);
  });
});

function start(program: string, options: { readonly input?: string }): Completed {
  const { exitCode, signal, stdout, stderr } = execaSync(join(targetDirectory, program), [], {
    input: options.input ?? "",
    env: {},
    extendEnv: false,
    reject: false,
    stripFinalNewline: false,
  });
  return { status: exitCode, signal, stdout, stderr };
}
