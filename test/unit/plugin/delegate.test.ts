import { describe, expect, test } from "vitest";
import { CniError } from "../../../src/cni/error.ts";
import type { RunOptions, RunResult } from "../../../src/host/sys.ts";
import { delegateAdd, delegateCheck, delegateDel, delegateGc, delegateStatus } from "../../../src/plugin/delegate.ts";
import { definePlugin, type Plugin } from "../../../src/plugin/plugin.ts";
import { exitCodeOf } from "../../../src/plugin/run.ts";
import { errno, type Machine, Process } from "./process.ts";

type Program = (options: RunOptions) => Partial<RunResult>;

const document = { cniVersion: "1.1.0", name: "net1", type: "main", ipam: { type: "ipam" }, big: { x: [1, null] } };
const env = {
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/T",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/none:/bin",
  CNI_ARGS: "K8S_POD_NAME=web-0;FOO;A=B=C;IgnoreUnknown=1;MAC=02:00:00:00:00:07",
  PATH: "/usr/bin",
  TRACEPARENT: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  TRACESTATE: "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
  BAGGAGE: "userId=alice",
  HTTPS_PROXY: "http://proxy.example",
};
const answered: Program = () => ({ stdout: '{"ips":[{"address":"10.0.0.5/32"}]}' });

/** A main plugin that only delegates, and then calls `after`. */
function main(type: string, builtin?: Readonly<Record<string, Plugin<unknown>>>, after: () => void = () => undefined) {
  return definePlugin<undefined>({
    name: "main",
    parseConf: () => undefined,
    add(request, context) {
      const result = delegateAdd(type, request, context, builtin);
      after();
      return result;
    },
    check: (request, context) => delegateCheck(type, request, context, builtin),
    del: (request, context) => delegateDel(type, request, context, builtin),
    gc: (request, context) => delegateGc(type, request, context, builtin),
    status: (request, context) => delegateStatus(type, request, context, builtin),
  });
}

function call(
  command: string,
  program: Program | undefined,
  options: Partial<Machine> & { plugin?: Plugin<undefined> } = {},
) {
  const stdin = JSON.stringify({ ...document, prevResult: {}, "cni.dev/valid-attachments": [] });
  const programs = program === undefined ? {} : { "/bin/ipam": program };
  const process = new Process({ env: { ...env, CNI_COMMAND: command }, stdin, programs, ...options });
  const status = exitCodeOf(options.plugin ?? main("ipam"), process.sys);
  return { status, stdout: process.stdout, stderr: process.stderr, calls: process.calls };
}

describe("delegateAdd(), delegateDel(), … by exec", () => {
  test.each(["ADD", "DEL", "CHECK", "GC", "STATUS"])(
    "gets %s with the document as it came, to the digit, and the whole environment",
    (command) => {
      let seen: RunOptions | undefined;
      const stdin = `{ "name": "net1", "cniVersion": "1.1.0", "type": "main", "ipam": {"type":"ipam", "big": 9007199254740993},
        "RuntimeConfig": {"ipRanges": [[{"subnet": "10.1.0.0/16"}]], "ips": ["10.1.0.9"], "dns": {"Servers": ["10.0.0.10"]}},
        "prevResult": {}, "cni.dev/valid-attachments": [], "args": {"cni": {"ips": ["10.1.0.9"]}}, "__proto__": 1 }`;
      const { status, calls } = call(
        command,
        (options) => {
          seen = options;
          return answered(options);
        },
        { stdin },
      );
      expect([status, calls]).toEqual([0, [`${command} /bin/ipam`]]);
      expect(seen?.stdin).toBe(stdin);
      expect(seen?.env).toEqual({ ...env, CNI_COMMAND: command });
      expect(seen?.timeoutMs).toBe(50_000);
    },
  );

  test.each([
    ["the node's own namespace, which the ID of an ended process leads to", "/run/netns/own"],
    ["what is no namespace", "/etc/hostname"],
    ["nothing", "/run/netns/none"],
    ["no path", ""],
  ])("gets DEL without a sandbox where CNI_NETNS leads to %s", (_, path) => {
    let seen: RunOptions | undefined;
    const program: Program = (options) => {
      seen = options;
      return {};
    };
    const { status } = call("DEL", program, { env: { ...env, CNI_COMMAND: "DEL", CNI_NETNS: path } });
    expect([status, seen?.env]).toEqual([0, { ...env, CNI_COMMAND: "DEL", CNI_NETNS: "" }]);
  });

  test("gives its result, a version of its own included", () => {
    const { stdout } = call("ADD", () => ({ stdout: '{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.5/32"}}' }));
    expect(JSON.parse(stdout)).toEqual({ cniVersion: "1.1.0", ips: [{ address: "10.0.0.5/32" }] });
  });

  test("speaks on our stderr", () => {
    const { status, stderr } = call("ADD", (options) => ({ ...answered(options), stderr: "hello\n" }));
    expect([status, stderr]).toEqual([0, "hello\n"]);
  });

  test.each<[string, Program, object]>([
    [
      "prints an error object",
      () => ({ status: 1, stdout: '{"code":11,"msg":"busy","details":"d"}' }),
      { code: 11, msg: "busy", details: "d" },
    ],
    [
      "prints an error object and exits with 0",
      () => ({ stdout: '{"code":102,"msg":"full"}' }),
      { code: 102, msg: "full" },
    ],
    [
      "exits without a word",
      () => ({ status: 1 }),
      { code: 100, msg: "cannot run /bin/ipam: exit status 1 without a message" },
    ],
    [
      "speaks on stderr only",
      () => ({ status: 2, stderr: "panic: nil\n" }),
      { code: 100, msg: "cannot run /bin/ipam: exit status 2: panic: nil" },
    ],
    [
      "is killed",
      () => ({ status: undefined, signal: 9 }),
      { code: 100, msg: "cannot run /bin/ipam: killed by signal 9 without a message" },
    ],
    [
      "does not end",
      () => {
        throw errno("ETIMEDOUT", "run /bin/ipam: timed out");
      },
      { code: 11, msg: "cannot run /bin/ipam: no answer within 50 s, killed" },
    ],
    [
      "prints garbage",
      () => ({ stdout: "xx" }),
      { code: 6, msg: 'cannot read the result of plugin "ipam": want one JSON document, not "xx"' },
    ],
    [
      "prints nothing",
      () => ({}),
      { code: 6, msg: 'cannot read the result of plugin "ipam": want one JSON document, not nothing' },
    ],
    [
      "prints no result",
      () => ({ stdout: "[]" }),
      { code: 6, msg: 'cannot parse the result of plugin "ipam": must be an object, not []' },
    ],
  ])("that %s gets DEL before the error goes up", (_, program, expected) => {
    const { status, stdout, calls } = call("ADD", program);
    expect(JSON.parse(stdout)).toEqual({ cniVersion: "1.1.0", ...expected });
    expect([status, calls]).toEqual([1, ["ADD /bin/ipam", "DEL /bin/ipam"]]);
  });

  test("gets DEL when what follows it fails", () => {
    const plugin = main("ipam", undefined, () => {
      throw new CniError(100, "cannot create link");
    });
    const { stdout, calls } = call("ADD", answered, { plugin });
    expect(JSON.parse(stdout).msg).toBe("cannot create link");
    expect(calls).toEqual(["ADD /bin/ipam", "DEL /bin/ipam"]);
  });

  test("is tried again while its file is being written", () => {
    let attempts = 0;
    const { status } = call("ADD", (options) => {
      if (attempts++ < 3) throw errno("ETXTBSY", "execve /bin/ipam: text file busy");
      return answered(options);
    });
    expect([status, attempts]).toEqual([0, 4]);
  });

  test("is given up when its file stays busy", () => {
    const { stdout } = call("ADD", () => {
      throw errno("ETXTBSY", "execve /bin/ipam: text file busy");
    });
    expect(JSON.parse(stdout)).toMatchObject({
      code: 100,
      msg: "cannot run /bin/ipam: execve /bin/ipam: text file busy",
    });
  });
});

describe("findPlugin()", () => {
  test.each([
    ["", 7, "no plugin name provided"],
    ["a/b", 7, "invalid plugin name: a/b"],
    ["nope", 7, 'failed to find plugin "nope" in path [/none:/bin]'],
  ])("%j", (type, code, msg) => {
    const { stdout, calls } = call("ADD", answered, { plugin: main(type) });
    expect(JSON.parse(stdout)).toMatchObject({ code, msg });
    expect(calls).toEqual([]);
  });

  test("STATUS answers 50 when it is not there", () => {
    const { stdout } = call("STATUS", undefined);
    expect(JSON.parse(stdout)).toMatchObject({ code: 50, msg: 'failed to find plugin "ipam" in path [/none:/bin]' });
  });
});

describe("delegateAdd(), delegateDel(), … in the same process", () => {
  interface Trace {
    readonly steps: string[];
    readonly plugin: Plugin<unknown>;
  }

  function ipam(fails: boolean): Trace {
    const steps: string[] = [];
    const step = (name: string) => () => {
      steps.push(name);
    };
    const plugin = definePlugin<{ readonly parsed: unknown }>({
      name: "ipam",
      parseConf: (given) => ({ parsed: given.ipam }),
      add({ conf, attachment }, { undo }) {
        steps.push(`add ${JSON.stringify(conf)} ${attachment.containerId}`);
        undo("release", step("release"));
        if (fails) throw new CniError(102, "full");
        return { ips: [{ address: "10.0.0.5/32" }] };
      },
      check: step("check"),
      del: step("del"),
      gc: step("gc"),
      status: step("status"),
    });
    return { steps, plugin };
  }

  const own = { ownExecutable: "/bin/ipam" };

  test("is called when CNI_PATH leads to this executable", () => {
    const { steps, plugin } = ipam(false);
    const { status, calls } = call("ADD", undefined, { ...own, plugin: main("ipam", { ipam: plugin }) });
    expect([status, calls, steps]).toEqual([0, [], ['add {"parsed":{"type":"ipam"}} c1']]);
  });

  test("is not called when another executable lies there", () => {
    const { steps, plugin } = ipam(false);
    const { calls } = call("ADD", answered, { plugin: main("ipam", { ipam: plugin }) });
    expect([calls, steps]).toEqual([["ADD /bin/ipam"], []]);
  });

  test.each(["CHECK", "DEL", "GC", "STATUS"])("gets %s", (command) => {
    const { steps, plugin } = ipam(false);
    const { status } = call(command, undefined, { ...own, plugin: main("ipam", { ipam: plugin }) });
    expect([status, steps]).toEqual([0, [command.toLowerCase()]]);
  });

  test("takes back what it did, and gets no DEL, when it fails", () => {
    const { steps, plugin } = ipam(true);
    const { stdout } = call("ADD", undefined, { ...own, plugin: main("ipam", { ipam: plugin }) });
    expect(JSON.parse(stdout)).toMatchObject({ code: 102, msg: "full" });
    expect(steps.slice(1)).toEqual(["release"]);
  });

  test("takes back what it did when what follows it fails: DEL would take back what others did too", () => {
    const { steps, plugin } = ipam(false);
    const after = () => {
      throw new Error("cannot");
    };
    call("ADD", undefined, { ...own, plugin: main("ipam", { ipam: plugin }, after) });
    expect(steps.slice(1)).toEqual(["release"]);
  });
});
