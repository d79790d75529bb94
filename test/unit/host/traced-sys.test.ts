import { beforeEach, describe, expect, test } from "vitest";
import { isErrno, type Sys } from "../../../src/host/sys.ts";
import { tracedSys } from "../../../src/host/traced-sys.ts";
import { encodeDatagram } from "../../../src/netlink/message.ts";

const environment = { CNI_COMMAND: "ADD", CNI_CONTAINERID: "c1", CNI_IFNAME: "eth0", TORTIE_TRACE: "/tmp/trace" };

/** A machine on which each call takes a millisecond. */
let nowMs: number;
let written: readonly { readonly path: string; readonly text: string; readonly mode: number }[];
let sys: Sys;

function took<T>(result: T): T {
  nowMs++;
  return result;
}

function refused(code: string): never {
  nowMs++;
  throw Object.assign(new Error(code), { code });
}

beforeEach(() => {
  nowMs = 5000;
  written = [];
  const machine: Partial<Sys> = {
    pid: () => 42,
    hostname: () => "node-1",
    monotonicMs: () => nowMs,
    cpuMs: () => nowMs / 1000,
    readFile: (path) =>
      path === "/proc/self/schedstat" ? took("0 700 3\n") : path === "/gone" ? refused("ENOENT") : took("text"),
    appendFile: (path, text, mode) => {
      written = [...written, { path, text, mode }];
      return text.length;
    },
    run: () => took({ status: 0, signal: undefined, stdout: "", stderr: "" }),
    openNetlink: () =>
      took({ send: () => took(undefined), receive: () => took(new Uint8Array(20)), close: () => took(undefined) }),
    exit: () => {
      throw new Error("exited");
    },
  };
  sys = tracedSys(machine as Sys, { file: "/tmp/trace", plugin: "calico", environment });
});

function trace(): readonly Readonly<Record<string, unknown>>[] {
  expect(() => sys.exit(0)).toThrow("exited");
  expect(written).toHaveLength(1);
  return (written[0]?.text ?? "")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

describe("tracedSys()", () => {
  test("appends the process and its calls with one write, in nanoseconds", () => {
    sys.readFile("/run/tortie/x");
    sys.run(["/opt/cni/bin/host-local"], { env: {}, stdin: "", timeoutMs: 1 });
    const [process, ...lines] = trace();
    expect(process).toEqual({
      ...{ pid: 42, plugin: "calico", command: "ADD", container: "c1", ifname: "eth0" },
      ...{ at: 5_001_000_000, end: 5_004_000_000 },
      ...{ startCpu: 5_000_000, startWait: 700, cpu: 5_003_000, wait: 700 },
    });
    expect(lines).toEqual([
      { pid: 42, call: "readFile", what: "/run/tortie/x", at: 5_001_000_000, took: 1_000_000 },
      { pid: 42, call: "run", what: "/opt/cni/bin/host-local", at: 5_002_000_000, took: 1_000_000 },
      { pid: 42, phase: "input", at: 5_001_000_000, took: 2_000_000 },
    ]);
    expect(written[0]).toMatchObject({ path: "/tmp/trace", mode: 0o600 });
  });

  test("names the types of the messages in a datagram", () => {
    const message = (type: number) => ({ type, flags: 0, payload: new Uint8Array(5) });
    const socket = sys.openNetlink("route");
    socket.send(encodeDatagram([message(16), message(24), message(24), message(16)], 1));
    socket.receive(10);
    expect(trace().filter(({ what }) => what === "route")).toMatchObject([
      { call: "openNetlink" },
      { call: "send", messages: [16, 24, 24, 16] },
      { call: "receive", took: 1_000_000 },
    ]);
  });

  test.each([
    ["empty", new Uint8Array(0), []],
    ["truncated", new Uint8Array(15), []],
    ["with a length of 0", new Uint8Array(16), [0]],
  ])("ends with a datagram that is %s", (_, datagram, messages) => {
    sys.openNetlink("netfilter").send(datagram);
    expect(trace().find(({ call }) => call === "send")).toMatchObject({ messages });
  });

  test("records the errno of a call that fails, and throws its error", () => {
    let thrown: unknown;
    try {
      sys.readFile("/gone");
    } catch (error) {
      thrown = error;
    }
    expect(isErrno(thrown, "ENOENT")).toBe(true);
    expect(trace()).toContainEqual({
      pid: 42,
      call: "readFile",
      what: "/gone",
      at: 5_001_000_000,
      took: 1_000_000,
      error: "ENOENT",
    });
  });

  test("divides the time into phases", () => {
    sys.readFile("/x");
    expect(sys.phase?.("calico-ipam")).toBe("input");
    sys.readFile("/y");
    expect(sys.phase?.("calico")).toBe("calico-ipam");
    const phases = trace().filter((line) => "phase" in line);
    expect(phases.map(({ phase, took: ns }) => [phase, ns])).toEqual([
      ["input", 1_000_000],
      ["calico-ipam", 1_000_000],
      ["calico", 0],
    ]);
  });

  test("ends the process as usual if the trace cannot be written", () => {
    const full = tracedSys(Object.assign(Object.create(sys), { appendFile: () => refused("ENOSPC") }) as Sys, {
      ...{ file: "/tmp/trace", plugin: "calico", environment },
    });
    expect(() => full.exit(0)).toThrow("exited");
  });
});
