import { expect, test } from "vitest";
import { labelOf } from "../../../../src/cli/profile/labels.ts";
import { phasesOf, summaryTable } from "../../../../src/cli/profile/summary.ts";
import { svgOf } from "../../../../src/cli/profile/svg.ts";
import { operationsOf, readTrace } from "../../../../src/cli/profile/trace.ts";
import { extentOf, waterfall } from "../../../../src/cli/profile/waterfall.ts";

const ms = 1e6;

/** The lines of one process, which began 1 ms before `at`. */
function linesOf(pid: number, plugin: string, at: number, command = "ADD"): string {
  const lines = [
    {
      ...{ pid, plugin, command, container: "c1", ifname: "eth0" },
      ...{ at: at * ms, end: (at + 10) * ms, startCpu: 0.75 * ms, startWait: 0.25 * ms, cpu: 4 * ms, wait: 1 * ms },
    },
    { pid, call: "readStdin", what: "", at: at * ms, took: 1 * ms },
    { pid, phase: "input", at: at * ms, took: 2 * ms },
    { pid, call: "send", what: "route", at: (at + 3) * ms, took: 2 * ms, messages: [16] },
    { pid, phase: plugin, at: (at + 2) * ms, took: 5 * ms },
    { pid, call: "stat", what: "/run/<x>", at: (at + 8) * ms, took: 0.01 * ms, error: "ENOENT" },
    { pid, phase: "ipam", at: (at + 7) * ms, took: 2 * ms },
    { pid, phase: plugin, at: (at + 9) * ms, took: 1 * ms },
  ];
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

const chain = linesOf(8, "portmap", 120) + linesOf(7, "calico", 100);

test("readTrace() names the first line that is not a line of a trace", () => {
  expect(() => readTrace(`${chain}{}\n`)).toThrow("line 17 is not a line of a trace");
  expect(() => readTrace("nonsense")).toThrow("line 1 is not a line of a trace");
  expect(() => readTrace(chain.split("\n").slice(1).join("\n"))).toThrow("line 1 belongs to no process");
});

test("operationsOf() groups a chain by time, and begins another operation for a repeated ADD", () => {
  const found = operationsOf(readTrace(chain + linesOf(9, "portmap", 200, "DEL") + linesOf(10, "calico", 300)));
  expect(found.map(({ command, processes }) => [command, processes.map(({ plugin }) => plugin)])).toEqual([
    ["ADD", ["calico", "portmap"]],
    ["DEL", ["portmap"]],
    ["ADD", ["calico"]],
  ]);
});

test("phasesOf() divides each phase by what its calls used, and leaves no time out", () => {
  const [calico] = readTrace(linesOf(7, "calico", 100));
  if (calico === undefined) throw new Error("there is no process");
  const phases = phasesOf(calico);
  expect(phases.map(({ phase, took, calls }) => [phase, took / ms, calls])).toEqual([
    ["start", 1, 0],
    ["input", 2, 1],
    ["calico", 6, 1],
    ["ipam", 2, 1],
  ]);
  expect(phases[2]?.times).toMatchObject({ engine: 4 * ms, netlink: 2 * ms, files: 0 });
  expect(phases.reduce((sum, { took }) => sum + took, 0)).toBe(calico.end - calico.at + 1 * ms);
  for (const { took, times } of phases)
    expect(Object.values(times).reduce((sum, one) => sum + one, 0)).toBeCloseTo(took);
});

test("summaryTable() omits what no call used, and ends with the total", () => {
  const [operation] = operationsOf(readTrace(chain));
  if (operation === undefined) throw new Error("there is no operation");
  const { columns, rows } = summaryTable(operation);
  expect(columns.map(({ title }) => title)).toEqual([
    "PLUGIN",
    "PHASE",
    "MS",
    "ENGINE",
    "NETLINK",
    "FILES",
    "OTHER",
    "CALLS",
  ]);
  expect(rows.at(-1)).toEqual(["", "total", "22.000", "13.980", "4.000", "0.020", "4.000", "6"]);
});

test("waterfall() places each call in time, and counts those that are too short", () => {
  const [operation] = operationsOf(readTrace(chain));
  if (operation === undefined) throw new Error("there is no operation");
  expect(extentOf(operation)).toEqual({ begin: 99 * ms, end: 130 * ms });
  const text = waterfall(operation, 0.05 * ms);
  expect(text).toMatch(/^ {3}4\.000 {5}2\.000 {6}██▏ +send route NEWLINK$/m);
  expect(text.match(/ipam \(and 1 shorter call\)/g)).toHaveLength(2);
  expect(waterfall(operation, 0)).toContain("stat /run/<x> (ENOENT)");
});

test.each([
  [{ call: "send", what: "route", messages: [19, 24, 24, 24] }, "send route SETLINK, NEWROUTE x3"],
  [
    { call: "send", what: "netfilter", messages: [16, 2572, 2572, 17] },
    "send netfilter BATCH_BEGIN, NEWSETELEM x2, BATCH_END",
  ],
  [{ call: "send", what: "netfilter", messages: [258] }, "send netfilter CT_DELETE"],
  [{ call: "send", what: "sock_diag", messages: [20] }, "send sock_diag SOCK_DIAG_BY_FAMILY"],
  [{ call: "send", what: "route", messages: [999] }, "send route 999"],
  [{ call: "readStdin", what: "" }, "readStdin"],
] as const)("labelOf(%j) is %s", (call, label) => {
  expect(labelOf({ pid: 1, at: 0, took: 0, ...call })).toBe(label);
});

test("svgOf() draws a rectangle for each phase and call, and escapes their labels", () => {
  const svg = svgOf(operationsOf(readTrace(chain)));
  expect(svg.match(/<g>/g)).toHaveLength(2 * (1 + 4 + 3));
  expect(svg).toContain("<title>stat /run/&lt;x&gt; (ENOENT): 0.010 ms</title>");
  expect(svg).not.toMatch(/NaN|undefined|<x>/);
});
