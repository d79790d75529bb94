import { beforeEach, describe, expect, test } from "vitest";
import type { Sys } from "../../../src/host/sys.ts";
import { rollingFile } from "../../../src/log/rolling-file.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";

const path = "/var/log/cni.log";
const dayMs = 86_400_000;
const rotation = { maxBytes: 100, maxAgeMs: 30 * dayMs, maxCount: 1000 };
/** Two of them fill a file. */
const line = (name: string) => `${name.padEnd(59, ".")}\n`;

let machine: FakeMachine;
let sys: FakeSys;

beforeEach(() => {
  machine = newMachine();
  sys = new FakeSys({ machine });
});

function newMachine(): FakeMachine {
  const made = new FakeMachine();
  made.files.makeDirs("/var/log", 0o755);
  return made;
}

function names(): readonly string[] {
  return [...machine.files.list("/var/log")].sort();
}

function rotated(): readonly string[] {
  return names().filter((name) => !["cni.log", "cni.log.lock"].includes(name));
}

function allLines(): readonly string[] {
  return names()
    .flatMap((name) => machine.files.read(`/var/log/${name}`).split("\n"))
    .filter((text) => text !== "")
    .map((text) => text.replace(/\.+$/, ""))
    .sort();
}

describe("rollingFile()", () => {
  test("renames a file that is full as lumberjack does, and begins a new one", () => {
    const log = rollingFile(sys, path, rotation);
    for (const name of ["one", "two", "three"]) log(line(name));
    expect(rotated()).toEqual(["cni-2024-01-01T00-00-00.000.log"]);
    expect(machine.files.read(`/var/log/${rotated()[0]}`)).toBe(line("one") + line("two"));
    expect(machine.files.read(path)).toBe(line("three"));
    expect(machine.files.stat(path)?.mode).toBe(0o644);
  });

  test("takes the next name where one is taken, by whomever, and overwrites none", () => {
    machine.files.create("/var/log/cni-2024-01-01T00-00-00.000.log", "another's\n", 0o644);
    const log = rollingFile(sys, path, rotation);
    for (let n = 0; n < 6; n++) log(line(`${n}`));
    expect(rotated()).toEqual(["0", "1", "2", "3"].map((ms) => `cni-2024-01-01T00-00-00.00${ms}.log`));
    expect(allLines()).toEqual(["0", "1", "2", "3", "4", "5", "another's"]);
  });

  test.each([
    ["within one millisecond", 0],
    ["while the clock is set back", -1000],
  ])("keeps the youngest lines, also when files are full %s", (_, step) => {
    const log = rollingFile(sys, path, { ...rotation, maxCount: 2 });
    for (let n = 0; n < 16; n++) {
      log(line(`${10 + n}`));
      machine.nowMs += step;
    }
    expect(allLines()).toEqual(["22", "23", "24", "25"]);
  });

  test("makes the directory that is missing", () => {
    rollingFile(sys, "/var/log/calico/cni/cni.log", rotation)(line("one"));
    expect(machine.files.read("/var/log/calico/cni/cni.log")).toBe(line("one"));
  });

  test.each(["log", "cni.d.log", ".log"])("rotates a file named %s", (name) => {
    const log = rollingFile(sys, `/var/log/${name}`, rotation);
    for (const each of ["one", "two", "three"]) log(line(each));
    expect(rotated().filter((other) => other !== name && other !== `${name}.lock`)).toHaveLength(1);
    expect(allLines()).toEqual(["one", "three", "two"]);
  });

  test("keeps the youngest, Calico's compressed ones too, and nothing that is too old or not its own", () => {
    const others = ["cni-plugin.log", "cni-2023-12-31.log", "other.log", "cni-2023-12-30T00-00-00.000.log.bak"];
    const kept = ["cni-2023-12-31T23-59-59.999.log", "cni-2023-12-31T00-00-00.000.log.gz"];
    const removed = ["cni-2023-12-30T00-00-00.000.log.zst", "cni-2023-12-29T00-00-00.000.log"];
    for (const name of [...others, ...kept, ...removed]) machine.files.create(`/var/log/${name}`, "x", 0o644);
    const log = rollingFile(sys, path, { ...rotation, maxCount: 3 });
    for (const name of ["one", "two"]) log(line(name));
    expect(rotated()).toEqual([...others, ...kept, "cni-2024-01-01T00-00-00.000.log"].sort());
    machine.nowMs += 30 * dayMs;
    for (const name of ["three", "four"]) log(line(name));
    expect(rotated()).toEqual([...others, "cni-2024-01-01T00-00-00.000.log", "cni-2024-01-31T00-00-00.000.log"].sort());
  });

  test("removes what is too old in each 64th process, once, though nothing is full", () => {
    const pids: number[] = [];
    for (let pid = 1; pid <= 128; pid++) {
      machine.files.create("/var/log/cni-2023-01-01T00-00-00.000.log", "x", 0o644);
      const log = rollingFile(withPid(pid), path, { ...rotation, maxBytes: 1e9 });
      log(line("one"));
      if (rotated().length === 0) {
        pids.push(pid);
        machine.files.create("/var/log/cni-2023-01-01T00-00-00.000.log", "x", 0o644);
        log(line("two"));
        expect(rotated()).toHaveLength(1);
      }
      machine.files.removeFile("/var/log/cni-2023-01-01T00-00-00.000.log");
    }
    expect(pids).toEqual([64, 128]);
  });

  test("loses no line and rotates no file that is not full, whatever other processes do between any two steps", () => {
    let interruptions = 0;
    for (let at = 1; at <= 40; at++) {
      for (let then = 0; then <= 40; then += 3) {
        machine = newMachine();
        // The first is interrupted by the second, and that by the third.
        const third = writer("c", new FakeSys({ machine }));
        const second = writer("b", interrupted(new FakeSys({ machine }), then, third));
        const first = interrupted(new FakeSys({ machine }), at, () => {
          interruptions++;
          second();
        });
        writer("a", first)();
        const written = allLines();
        const where = `${at}, ${then}`;
        expect(new Set(written).size, where).toBe(written.length);
        expect(
          written.filter((text) => text.startsWith("a")),
          where,
        ).toEqual(["a0", "a1", "a2", "a3", "a4"]);
        expect([0, 5], where).toContain(written.filter((text) => text.startsWith("b")).length);
        expect([0, 5], where).toContain(written.filter((text) => text.startsWith("c")).length);
        const sizes = rotated().map((name) => machine.files.stat(`/var/log/${name}`)?.size ?? 0);
        expect(
          sizes.filter((size) => size < rotation.maxBytes),
          where,
        ).toEqual([]);
      }
    }
    expect(interruptions).toBeGreaterThan(200);
  });

  test("that is killed at any step of a rotation leaves every line, and the next process goes on", () => {
    for (let step = 1; step <= 12; step++) {
      machine = newMachine();
      const killed = new FakeSys({ machine });
      rollingFile(killed, path, rotation)(line("a"));
      killed.killAt(killed.steps + 1 + step);
      const log = rollingFile(killed, path, rotation);
      log(line("b"));
      machine.locks.clear();
      writer("c", new FakeSys({ machine }))();
      expect(allLines(), `step ${step}`).toEqual(["a", "b", "c0", "c1", "c2", "c3", "c4"]);
    }
  });

  test("goes on in the same file while another rotates it; waits a second, once, when that is twice too large", () => {
    const held = new FakeSys({ machine }).lock(`${path}.lock`, "exclusive", 0);
    const log = rollingFile(sys, path, rotation);
    for (const name of ["1", "2", "3"]) log(line(name));
    expect(machine.uptimeMs).toBe(1000);
    for (const name of ["4", "5", "6"]) log(line(name));
    expect(machine.uptimeMs).toBe(2000);
    expect(rotated()).toEqual([]);
    expect(held.fd).toBeGreaterThan(0);
    machine.locks.clear();
    log(line("7"));
    expect(rotated()).toHaveLength(1);
    expect(allLines()).toEqual(["1", "2", "3", "4", "5", "6", "7"]);
  });

  test("whose rotation fails at any step writes the line all the same, and fails nothing", () => {
    for (let step = 2; step <= 10; step++) {
      machine = newMachine();
      const failing = new FakeSys({ machine });
      failing.failAt(step, "EIO");
      const log = rollingFile(failing, path, { ...rotation, maxBytes: 10 });
      log(line("one"));
      expect(allLines(), `step ${step}`).toEqual(["one"]);
    }
  });
});

function withPid(pid: number): Sys {
  const process = new FakeSys({ machine });
  process.pid = () => pid;
  return process;
}

function writer(name: string, process: Sys): () => void {
  return () => {
    const log = rollingFile(process, path, rotation);
    for (let n = 0; n < 5; n++) log(line(`${name}${n}`));
  };
}

/** Runs `other` before the call with this number, once. */
function interrupted(process: FakeSys, at: number, other: () => void): Sys {
  let calls = 0;
  return new Proxy(process, {
    get(target, name: Exclude<keyof Sys, "phase">) {
      const method = target[name] as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        if (++calls === at) other();
        return method.apply(target, args);
      };
    },
  });
}
