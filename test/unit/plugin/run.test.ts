import { describe, expect, test } from "vitest";
import { CniError } from "../../../src/cni/error.ts";
import type { Result } from "../../../src/cni/result.ts";
import { supportedVersions } from "../../../src/cni/version.ts";
import { definePlugin, type Plugin } from "../../../src/plugin/plugin.ts";
import { exitCodeOf } from "../../../src/plugin/run.ts";
import { type Machine, Process } from "./process.ts";

interface Conf {
  readonly mtu: number;
}

const result: Result = {
  interfaces: [{ name: "cali1" }, { name: "eth0", sandbox: "/run/netns/T" }],
  ips: [{ address: "10.0.0.5/32", interface: 1 }],
};

/** The operations that the plugin was called for, with their requests. */
interface Asked {
  readonly operation: string;
  // biome-ignore lint/suspicious/noExplicitAny: each operation has its own request type, and tests look into all of them.
  readonly request: any;
}

function recorder(overrides: Partial<Plugin<Conf>> = {}) {
  const asked: Asked[] = [];
  const record =
    (operation: string) =>
    (request: unknown): void => {
      asked.push({ operation, request });
    };
  const plugin = definePlugin<Conf>({
    name: "example",
    parseConf(document) {
      if (document.mtu !== undefined && typeof document.mtu !== "number") {
        throw new CniError(7, 'cannot parse the configuration: "mtu" must be an integer, not "1500"');
      }
      return { mtu: document.mtu ?? 0 };
    },
    add(request) {
      record("add")(request);
      return result;
    },
    check: record("check"),
    del: record("del"),
    gc: record("gc"),
    status: record("status"),
    ...overrides,
  });
  return { plugin, asked };
}

const env = { CNI_CONTAINERID: "c1", CNI_NETNS: "/run/netns/T", CNI_IFNAME: "eth0", CNI_PATH: "/opt/cni/bin" };
const conf = { cniVersion: "1.1.0", name: "net1", type: "example" };

function run(machine: Machine, overrides?: Partial<Plugin<Conf>>) {
  const { plugin, asked } = recorder(overrides);
  const process = new Process(machine);
  const status = exitCodeOf(plugin, process.sys);
  return { status, asked, stdout: process.stdout, stderr: process.stderr, process };
}

function call(
  command: string,
  document: unknown,
  more: Record<string, string> = {},
  overrides?: Partial<Plugin<Conf>>,
) {
  const stdin = typeof document === "string" ? document : JSON.stringify(document);
  return run({ env: { ...env, CNI_COMMAND: command, ...more }, stdin }, overrides);
}

describe("exitCodeOf(): the order of errors", () => {
  const bad = { CNI_CONTAINERID: "-a", CNI_IFNAME: "a/b" };
  const none = { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "" };
  const incompatible = "incompatible CNI versions";

  test.each<[string, string, unknown, Record<string, string>, number, string, string?]>([
    [
      "a bad container ID before what is missing",
      "ADD",
      conf,
      { ...none, CNI_CONTAINERID: "-a" },
      4,
      "invalid characters in containerID",
      "-a",
    ],
    ["a bad container ID before a bad interface name", "ADD", conf, bad, 4, "invalid characters in containerID", "-a"],
    [
      "all that is missing together",
      "ADD",
      conf,
      none,
      4,
      "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing",
    ],
    ["what DEL needs", "DEL", conf, none, 4, "required env variables [CNI_CONTAINERID,CNI_IFNAME] missing"],
    ["what CHECK needs", "CHECK", conf, { CNI_NETNS: "" }, 4, "required env variables [CNI_NETNS] missing"],
    ["what GC needs", "GC", conf, { ...none, CNI_PATH: "" }, 4, "required env variables [CNI_PATH] missing"],
    ["the environment before stdin", "ADD", "", { CNI_NETNS: "" }, 4, "required env variables [CNI_NETNS] missing"],
    [
      "an interface name that is too long",
      "ADD",
      conf,
      { CNI_IFNAME: "abcdefghijklmnop" },
      4,
      "interface name is too long",
      "interface name should be less than 16 characters",
    ],
    ["an interface name of dots", "ADD", conf, { CNI_IFNAME: ".." }, 4, "interface name is . or .."],
    [
      "an interface name with a slash",
      "ADD",
      conf,
      { CNI_IFNAME: "a/b" },
      4,
      "interface name contains / or : or whitespace characters",
    ],
    ["a document that is no object", "ADD", [], {}, 6, "error unmarshall network config: must be a JSON object"],
    [
      "a name of a wrong type",
      "ADD",
      { ...conf, name: 5 },
      {},
      6,
      'error unmarshall network config: "name" must be a string, not 5',
    ],
    ["a null document", "ADD", "null", {}, 7, "missing network name"],
    ["a name that is empty", "DEL", { ...conf, name: "" }, {}, 7, "missing network name"],
    ["a name with a path", "ADD", { ...conf, name: "../x" }, {}, 7, "invalid characters found in network name", "../x"],
    ["the name before the version", "ADD", { cniVersion: "9.9.9" }, {}, 7, "missing network name"],
    ["the name before an unknown command", "FOO", {}, {}, 7, "missing network name"],
    ["an unknown command", "FOO", { ...conf, cniVersion: "9.9.9" }, none, 4, "unknown CNI_COMMAND: FOO"],
    ["a command in lower case", "add", conf, {}, 4, "unknown CNI_COMMAND: add"],
    [
      "a version of a wrong type",
      "ADD",
      { ...conf, cniVersion: 1 },
      {},
      6,
      'decoding version from network config: "cniVersion" must be a string, not 1',
    ],
    [
      "a version that nobody speaks",
      "ADD",
      { ...conf, cniVersion: "9.9.9" },
      {},
      1,
      incompatible,
      'config is "9.9.9", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]',
    ],
    [
      "an abbreviated version",
      "DEL",
      { ...conf, cniVersion: "1.0" },
      {},
      1,
      incompatible,
      'config is "1.0", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]',
    ],
    [
      "the version before the configuration",
      "ADD",
      { ...conf, cniVersion: "v1.0.0", mtu: "1500" },
      {},
      1,
      incompatible,
      'config is "v1.0.0", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]',
    ],
    ["CHECK before 0.4.0", "CHECK", { ...conf, cniVersion: "0.3.1" }, {}, 1, "config version does not allow CHECK"],
    [
      "CHECK in a version of the future",
      "CHECK",
      { ...conf, cniVersion: "9.9.9" },
      {},
      1,
      "plugin version does not allow CHECK",
    ],
    [
      "CHECK in what is no version",
      "CHECK",
      { ...conf, cniVersion: "v1.0.0" },
      {},
      6,
      'cannot parse cniVersion "v1.0.0": want "<major>.<minor>.<micro>"',
    ],
    ["STATUS before 1.1.0", "STATUS", { ...conf, cniVersion: "1.0.0" }, {}, 1, "config version does not allow STATUS"],
    ["GC before 1.1.0", "GC", { ...conf, cniVersion: undefined }, {}, 1, "config version does not allow GC"],
    [
      "a configuration that is wrong",
      "ADD",
      { ...conf, mtu: "1500" },
      {},
      7,
      'cannot parse the configuration: "mtu" must be an integer, not "1500"',
    ],
    [
      "a prevResult of a wrong type",
      "ADD",
      { ...conf, prevResult: [] },
      {},
      6,
      "cannot parse prevResult: must be an object, not []",
    ],
    ["CHECK without prevResult", "CHECK", conf, {}, 7, "cannot check: prevResult is missing"],
    [
      "a sandbox that is gone",
      "ADD",
      conf,
      { CNI_NETNS: "/run/netns/none" },
      3,
      'cannot open network namespace "/run/netns/none" of CNI_NETNS: it does not exist',
    ],
    [
      "a sandbox that is none",
      "ADD",
      conf,
      { CNI_NETNS: "/etc/hostname" },
      4,
      'cannot open network namespace "/etc/hostname" of CNI_NETNS: it is not a network namespace',
    ],
    [
      "the own namespace",
      "ADD",
      conf,
      { CNI_NETNS: "/run/netns/own" },
      8,
      "plugin's netns and netns from CNI_NETNS should not be the same",
      "/run/netns/own",
    ],
    [
      "the own namespace at CHECK",
      "CHECK",
      { ...conf, prevResult: {} },
      { CNI_NETNS: "/run/netns/own" },
      8,
      "plugin's netns and netns from CNI_NETNS should not be the same",
      "/run/netns/own",
    ],
  ])("%s", (_, command, document, more, code, msg, details) => {
    const { status, stdout, asked } = call(command, document, more);
    expect(JSON.parse(stdout)).toMatchObject({ code, msg, ...(details !== undefined && { details }) });
    expect(status).toBe(1);
    expect(asked).toEqual([]);
  });

  test.each(["", '{"name"', "{} {}", `{"name":"net1","x":"`])("stdin %j is no JSON: code 6", (stdin) => {
    const { status, stdout } = call("ADD", stdin);
    expect(JSON.parse(stdout).msg).toMatch(/^error unmarshall network config: ./);
    expect([status, JSON.parse(stdout).code]).toEqual([1, 6]);
  });

  test("more than 16 MiB on stdin: code 5", () => {
    const { stdout } = call("ADD", " ".repeat(16 * 1024 * 1024 + 1));
    expect(JSON.parse(stdout)).toMatchObject({ code: 5, msg: "error reading from stdin: more than 16 MiB" });
  });
});

describe("exitCodeOf(): error objects", () => {
  test("are indented by four spaces, and say the version of the request", () => {
    const { stdout } = call("ADD", { ...conf, cniVersion: "0.4.0", name: "a/b" });
    expect(stdout).toBe(
      '{\n    "cniVersion": "0.4.0",\n    "code": 7,\n    "msg": "invalid characters found in network name",\n    "details": "a/b"\n}',
    );
  });

  test("say the version of the request also when the environment is bad", () => {
    const { stdout } = call("ADD", { ...conf, cniVersion: "0.4.0" }, { CNI_NETNS: "" });
    expect(JSON.parse(stdout).cniVersion).toBe("0.4.0");
  });

  test.each([
    [
      "CniError",
      () => new CniError(102, "no address left", "10.0.0.0/24"),
      { code: 102, msg: "no address left", details: "10.0.0.0/24" },
    ],
    ["anything else", () => new TypeError("x is undefined"), { code: 999, msg: "x is undefined" }],
    ["an error without words", () => new Error(""), { code: 999, msg: "unknown error" }],
  ])("of %s thrown by the plugin", (_, error, expected) => {
    const failing = {
      add: () => {
        throw error();
      },
    };
    const { status, stdout, stderr } = call("ADD", conf, {}, failing);
    expect(JSON.parse(stdout)).toEqual({ cniVersion: "1.1.0", ...expected });
    expect(status).toBe(1);
    expect(stderr).toContain(expected.msg);
  });

  test("of a bug have no stack, which is in the log", () => {
    const failing = {
      add: () => {
        throw new TypeError("x is undefined");
      },
    };
    const { stdout, stderr } = call("ADD", conf, {}, failing);
    expect(stdout).not.toContain("run.test.ts");
    expect(stderr.split("\n").map((line) => line && JSON.parse(line).stack)[0]).toContain("run.test.ts");
  });
});

describe("ADD", () => {
  test("prints the result in the version of the request, and nothing on stderr", () => {
    const { status, stdout, stderr } = call("ADD", { ...conf, cniVersion: "0.4.0" });
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toBe(`{
    "cniVersion": "0.4.0",
    "interfaces": [
        {
            "name": "cali1"
        },
        {
            "name": "eth0",
            "sandbox": "/run/netns/T"
        }
    ],
    "ips": [
        {
            "version": "4",
            "interface": 1,
            "address": "10.0.0.5/32"
        }
    ],
    "dns": {}
}`);
  });

  test("takes a missing cniVersion for 0.1.0", () => {
    const { stdout } = call("ADD", { name: "net1" });
    expect(JSON.parse(stdout)).toEqual({ cniVersion: "0.1.0", ip4: { ip: "10.0.0.5/32" }, dns: {} });
  });

  test("gets its request parsed", () => {
    const prevResult = { ips: [{ version: "4", address: "10.0.0.9/24" }], zzz: 1 };
    const document = { CniVersion: "0.3.1", NAME: "net1", mtu: 1400, prevResult, unknown: { A: null } };
    const { asked } = call("ADD", document, { CNI_ARGS: "IgnoreUnknown=1;FOO", CNI_PATH: "/a:/b" });
    expect(asked).toEqual([
      {
        operation: "add",
        request: {
          cniVersion: "0.3.1",
          network: "net1",
          attachment: { network: "net1", containerId: "c1", ifname: "eth0" },
          conf: { mtu: 1400 },
          document,
          text: JSON.stringify(document),
          netns: "/run/netns/T",
          path: ["/a", "/b"],
          args: { IgnoreUnknown: "1" },
          prevResult: { ips: [{ address: "10.0.0.9/24" }], zzz: 1 },
        },
      },
    ]);
  });

  test("may be asked for the own namespace when the runtime overrides", () => {
    const { status } = call("ADD", conf, { CNI_NETNS: "/run/netns/own", CNI_NETNS_OVERRIDE: "True" });
    expect(status).toBe(0);
  });

  test("takes null for absent", () => {
    const { asked } = call("ADD", { ...conf, prevResult: null, args: null });
    expect(asked[0]?.request.prevResult).toBeUndefined();
  });

  const undone: string[] = [];
  const twoSteps: Partial<Plugin<Conf>> = {
    add(_, context) {
      undone.length = 0;
      context.undo("first", () => undone.push("first"));
      context.undo("second", () => {
        undone.push("second");
        throw new Error("cannot");
      });
      return result;
    },
  };

  test("takes everything back, last first, when stdout cannot be written", () => {
    const machine: Machine = { env: { ...env, CNI_COMMAND: "ADD" }, stdin: JSON.stringify(conf), full: ["stdout"] };
    const { status, stderr } = run(machine, twoSteps);
    expect([status, undone]).toEqual([1, ["second", "first"]]);
    expect(stderr).toContain("cannot write the result: write stdout: no space left on device");
  });

  test("takes everything back when the version cannot say the result", () => {
    const failing: Partial<Plugin<Conf>> = {
      add(request, context) {
        twoSteps.add?.(request, context);
        return {};
      },
    };
    const { status, stdout } = call("ADD", { ...conf, cniVersion: "0.2.0" }, {}, failing);
    expect([status, JSON.parse(stdout).code, undone]).toEqual([1, 1, ["second", "first"]]);
  });

  test("takes nothing back when it succeeds", () => {
    expect(call("ADD", conf, {}, twoSteps).status).toBe(0);
    expect(undone).toEqual([]);
  });

  test("does not mind that stderr cannot be written", () => {
    const stdin = JSON.stringify({ ...conf, log_level: "debug" });
    const { status, stdout } = run({ env: { ...env, CNI_COMMAND: "ADD" }, stdin, full: ["stderr"] });
    expect([status, JSON.parse(stdout).cniVersion]).toEqual([0, "1.1.0"]);
  });
});

describe("DEL", () => {
  test.each<[string, unknown, Record<string, string>, object]>([
    [
      "a configuration that is not valid any more",
      { ...conf, mtu: "1500" },
      {},
      { conf: undefined, netns: "/run/netns/T" },
    ],
    ["no sandbox", conf, { CNI_NETNS: "" }, { conf: { mtu: 0 }, netns: undefined }],
    ["a sandbox that is gone", conf, { CNI_NETNS: "/run/netns/none" }, { netns: undefined }],
    ["a sandbox that is none any more", conf, { CNI_NETNS: "/etc/hostname" }, { netns: undefined }],
    [
      "a path that leads to the node's own namespace by now",
      conf,
      { CNI_NETNS: "/run/netns/own" },
      { netns: undefined },
    ],
    [
      "the own namespace when the runtime overrides",
      conf,
      { CNI_NETNS: "/run/netns/own", CNI_NETNS_OVERRIDE: "1" },
      { netns: "/run/netns/own" },
    ],
    [
      "a prevResult that nobody can read",
      { ...conf, prevResult: { cniVersion: "7.0.0" } },
      {},
      { prevResult: undefined },
    ],
    ["no CNI_PATH", conf, { CNI_PATH: "" }, { path: [] }],
  ])("goes on with %s", (_, document, more, expected) => {
    const { status, stdout, stderr, asked } = call("DEL", document, more);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(asked).toEqual([{ operation: "del", request: expect.objectContaining(expected) }]);
  });
});

describe("CHECK, STATUS and GC", () => {
  test("CHECK gets the result to compare with", () => {
    const { status, stdout, asked } = call("CHECK", { ...conf, prevResult: { ips: [] } });
    expect([status, stdout]).toEqual([0, ""]);
    expect(asked).toEqual([{ operation: "check", request: expect.objectContaining({ prevResult: { ips: [] } }) }]);
  });

  test("STATUS needs no attachment", () => {
    const bare = { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "" };
    const { status, stdout, asked } = call("STATUS", conf, bare);
    expect([status, stdout, asked.length]).toEqual([0, "", 1]);
  });

  test("GC gets what is valid", () => {
    const { asked } = call("GC", {
      ...conf,
      "cni.dev/valid-attachments": [{ containerID: "c1", IfName: "eth0", x: 1 }],
    });
    expect(asked[0]?.request.valid).toEqual([{ containerId: "c1", ifname: "eth0" }]);
  });

  test.each([
    ["absent", {}],
    ["null", { "cni.dev/valid-attachments": null }],
  ])("GC does nothing when the list is %s", (_, list) => {
    const { status, stdout, asked } = call("GC", { ...conf, ...list });
    expect({ status, stdout, asked }).toEqual({ status: 0, stdout: "", asked: [] });
  });

  test.each([
    ["no list", { containerID: "c1" }, "must be an array, not an object"],
    ["an entry without its interface", [{ containerID: "c1" }], "ifname"],
  ])("GC refuses %s, for it must not take the living for stale", (_, list, reason) => {
    const { stdout, asked } = call("GC", { ...conf, "cni.dev/valid-attachments": list });
    expect(JSON.parse(stdout)).toMatchObject({ code: 7, msg: expect.stringContaining(reason) });
    expect(asked).toEqual([]);
  });
});

describe("VERSION", () => {
  test.each<[string, Machine, string]>([
    ["echoes the request's version", { stdin: '{"cniVersion":"0.4.0"}' }, "0.4.0"],
    ["echoes a version that nobody speaks", { stdin: '{"cniVersion":"9.9.9"}' }, "9.9.9"],
    ["answers without stdin", {}, "1.1.0"],
    ["answers to garbage", { stdin: "xx" }, "1.1.0"],
    ["answers though stdin is held open", { stdin: '{"cniVersion":"1.0.0"}', stdinHeldOpen: true }, "1.0.0"],
  ])("%s", (_, machine, cniVersion) => {
    const dummies = { CNI_NETNS: "dummy", CNI_IFNAME: "dummy", CNI_PATH: "dummy", CNI_CONTAINERID: "" };
    const { status, stdout, stderr } = run({ ...machine, env: { ...dummies, CNI_COMMAND: "VERSION" } });
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toBe(
      `{"cniVersion":"${cniVersion}","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n`,
    );
  });
});

describe("exitCodeOf() without CNI_COMMAND", () => {
  test("says who it is on stderr, in the reference's words", () => {
    const { status, stdout, stderr } = run({});
    expect([status, stdout]).toEqual([0, ""]);
    expect(stderr).toMatch(
      /^CNI example plugin v[0-9][^\n]*\nCNI protocol versions supported: 0\.1\.0, [^\n]*1\.1\.0\n$/,
    );
    expect(stderr).toContain(supportedVersions.join(", "));
  });

  test.each(["-v", "--version"])("%s prints version, commit and engine", (flag) => {
    const { status, stdout } = run({ args: ["/opt/cni/bin/example", flag] });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^example \S+ \(Tortie\), commit \S+, engine .+\n$/);
  });

  test("runs the plugin's own flags", () => {
    const flags = { "-t": () => 3 };
    expect(run({ args: ["example", "-t"] }, { flags }).status).toBe(3);
    expect(run({ args: ["example", "-h"] }, { flags }).stdout).toContain("usage: example [-v | -h | -t]");
  });

  test("rejects an unknown flag", () => {
    const { status, stdout, stderr } = run({ args: ["example", "-x"] });
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toBe('example: unknown flag "-x" (-h lists the flags)\n');
  });
});

describe("exitCodeOf(): the log", () => {
  const path = "/var/log/tortie/cni.log";

  test("goes to the file that the document names, from its level on", () => {
    const logging: Partial<Plugin<Conf>> = {
      add(_, { log }) {
        log.debug("not this");
        log.info("this", () => ({ address: "10.0.0.5" }));
        return result;
      },
    };
    const { process, stderr } = call("ADD", { ...conf, LOG_LEVEL: "Info", log_file_path: path }, {}, logging);
    expect(stderr).toBe("");
    expect(JSON.parse(process.files.get(path) ?? "")).toEqual({
      level: 30,
      time: 1_700_000_000_000,
      pid: 42,
      hostname: "n1",
      plugin: "example",
      command: "ADD",
      network: "net1",
      containerID: "c1",
      ifname: "eth0",
      address: "10.0.0.5",
      msg: "this",
    });
  });

  test("goes to stderr too at level debug", () => {
    const { stderr } = call("ADD", { ...conf, log_level: "DEBUG" });
    expect(
      stderr
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line).msg),
    ).toEqual(["begin", "end"]);
  });
});
