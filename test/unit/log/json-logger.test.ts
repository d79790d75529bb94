import pino from "pino";
import { describe, expect, test } from "vitest";
import { jsonLogger } from "../../../src/log/json-logger.ts";
import type { Level } from "../../../src/log/logger.ts";
import { logOptions } from "../../../src/log/options.ts";
import { Process } from "../plugin/process.ts";

const path = "/var/log/cni.log";
const rotation = { maxBytes: 1000, maxAgeMs: 86_400_000, maxCount: 2 };

describe("jsonLogger()", () => {
  test("writes lines of pino's shape", () => {
    const process = new Process({});
    jsonLogger(process.sys, { level: "info", file: { path, rotation } }, () => ({ plugin: "calico" })).warning(
      "careful",
      () => ({ n: 1 }),
    );
    let line = "";
    pino(
      { base: { pid: 42, hostname: "n1" } },
      {
        write: (text) => {
          line = text;
        },
      },
    )
      .child({ plugin: "calico" })
      .warn({ n: 1 }, "careful");
    const ours = JSON.parse(process.files.get(path) ?? "");
    expect(ours).toEqual({ ...JSON.parse(line), time: ours.time });
  });

  test.each<[Level, string[]]>([
    ["debug", ["d", "i", "w", "e"]],
    ["info", ["i", "w", "e"]],
    ["warning", ["w", "e"]],
    ["error", ["e"]],
  ])("at level %s writes %j", (level, expected) => {
    const process = new Process({});
    const log = jsonLogger(process.sys, { level, file: { path, rotation } }, () => ({}));
    log.debug("d");
    log.info("i");
    log.warning("w");
    log.error("e");
    const lines = (process.files.get(path) ?? "").trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(expected);
  });

  test("keeps lines from stderr until they are asked for", () => {
    const process = new Process({});
    const log = jsonLogger(process.sys, { level: "info" }, () => ({}));
    log.with({ plugin: "inner" }).info("kept");
    expect(process.stderr).toBe("");
    log.flush();
    log.flush();
    expect(
      process.stderr
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([expect.objectContaining({ plugin: "inner", msg: "kept" })]);
  });

  test("has a kept line's time from when it was logged, and asks for its fields only when it is wanted", () => {
    const process = new Process({});
    const asked: string[] = [];
    const log = jsonLogger(process.sys, { level: "info" }, () => {
      asked.push("common");
      return {};
    });
    log.info("one", () => {
      asked.push("one");
      return {};
    });
    log.info("two", () => {
      throw new Error("cannot say it");
    });
    process.sys.sleepMs(5000);
    log.error("three");
    expect(asked).toEqual([]);
    log.flush();
    expect(asked).toEqual(["common", "one"]);
    const lines = process.stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ msg, time }) => [msg, time])).toEqual([
      ["one", 1_700_000_000_000],
      ["three", 1_700_000_005_000],
    ]);
  });

  test("makes the directory that is missing", () => {
    const process = new Process({});
    const file = { path: "/var/log/calico/cni/cni.log", rotation };
    jsonLogger(process.sys, { level: "info", file }, () => ({})).info("x");
    expect(process.files.has(file.path)).toBe(true);
  });

  test("fails nothing when nothing can be written or said", () => {
    const process = new Process({ full: ["stderr"], unwritable: [path] });
    const log = jsonLogger(process.sys, { level: "debug", file: { path, rotation } }, () => ({}));
    log.info("lost");
    log.info("lost", () => {
      throw new Error("cannot say it");
    });
    log.info("lost", () => ({ big: 1n }));
    log.flush();
    expect(process.files.size).toBe(0);
  });
});

describe("logOptions()", () => {
  test.each<[object, object]>([
    [{}, { level: "info" }],
    [{ log_level: "DEBUG" }, { level: "debug" }],
    [{ log_level: "Warning" }, { level: "warning" }],
    [{ log_level: "WARN" }, { level: "warning" }],
    [{ log_level: "Error" }, { level: "error" }],
    [{ log_level: "fatal" }, { level: "error" }],
    [{ log_level: "trace" }, { level: "debug" }],
    [{ log_level: "verbose" }, { level: "info" }],
    [{ log_level: "constructor" }, { level: "info" }],
    [{ log_level: "" }, { level: "info" }],
    [{ log_level: 5, log_file_path: 5 }, { level: "info" }],
    [{ log_file_path: "" }, { level: "info" }],
    [
      { log_file_path: path },
      { level: "info", file: { path, rotation: { maxBytes: 100 * 2 ** 20, maxAgeMs: 30 * 86_400_000, maxCount: 10 } } },
    ],
    [
      { log_file_path: path, log_file_max_size: 1, log_file_max_age: 2, log_file_max_count: 3 },
      { level: "info", file: { path, rotation: { maxBytes: 2 ** 20, maxAgeMs: 2 * 86_400_000, maxCount: 3 } } },
    ],
  ])("of %j", (keys, expected) => expect(logOptions(keys)).toEqual(expected));
});
