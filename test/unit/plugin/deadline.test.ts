import { beforeEach, describe, expect, test } from "vitest";
import type { NetlinkSocket, RunOptions, Sys } from "../../../src/host/sys.ts";
import { type Deadline, startDeadline } from "../../../src/plugin/deadline.ts";
import { errno } from "./process.ts";

let now: number;
/** The waits, in milliseconds. */
let waits: number[];
let deadline: Deadline;

/** A machine that never answers. */
function wait(timeoutMs: number): never {
  waits.push(timeoutMs);
  now += timeoutMs;
  throw errno("ETIMEDOUT", "wait: timed out");
}

beforeEach(() => {
  now = 1000;
  waits = [];
  const machine: Partial<Sys> = {
    monotonicMs: () => now,
    hostname: () => "n1",
    readStdin: (_, timeoutMs) => wait(timeoutMs),
    lock: (_, __, timeoutMs) => wait(timeoutMs),
    run: (_, { timeoutMs }: RunOptions) => wait(timeoutMs),
    openNetlink: (): NetlinkSocket => ({ send: () => undefined, receive: wait, close: () => undefined }),
  };
  deadline = startDeadline(machine as Sys);
});

/** Each way to wait. */
const ways: readonly (readonly [string, (sys: Sys, timeoutMs: number) => unknown])[] = [
  ["lock()", (sys, timeoutMs) => sys.lock("/run/lock", "exclusive", timeoutMs)],
  ["run()", (sys, timeoutMs) => sys.run(["/bin/x"], { env: {}, stdin: "", timeoutMs })],
  ["readStdin()", (sys, timeoutMs) => sys.readStdin(10, timeoutMs)],
  ["a socket's receive()", (sys, timeoutMs) => sys.openNetlink("route").receive(timeoutMs)],
];

describe.each(ways)("startDeadline(): %s", (_, call) => {
  test("waits as long as it is told while there is time, and says so as the machine does", () => {
    expect(() => call(deadline.sys, 40_000)).toThrow(expect.objectContaining({ code: "ETIMEDOUT" }));
    expect(waits).toEqual([40_000]);
  });

  test("waits no longer than what is left of 50 s, and fails with code 11 then", () => {
    now += 30_000;
    const late = { kind: "timeout", message: "cannot finish within 50 s: wait: timed out" };
    expect(() => call(deadline.sys, 40_000)).toThrow(expect.objectContaining(late));
    expect(() => call(deadline.sys, 40_000)).toThrow(expect.objectContaining(late));
    expect(waits).toEqual([20_000, 0]);
  });

  test("has 8 s for what is taken back afterwards", () => {
    now += 90_000;
    deadline.extend();
    expect(() => call(deadline.sys, 40_000)).toThrow(expect.objectContaining({ kind: "timeout" }));
    expect(waits).toEqual([8_000]);
  });
});

test("startDeadline() leaves the rest of the machine as it was", () => {
  expect(deadline.sys.hostname()).toBe("n1");
});
