import { describe, expect, test } from "vitest";
import { type GrowthLine, growthTable, isFlatGrowth } from "../../../scripts/bench/growth.ts";
import { type Measure, nodesFor, type Suite } from "../../../scripts/bench/measure.ts";
import { comparisonPlot, growthPlot } from "../../../scripts/bench/plot.ts";
import { scenarios } from "../../../scripts/bench/scenarios.ts";

const spread = (median: number) => ({ median, lower: median / 2, upper: median * 2 });
const lines: readonly GrowthLine[] = [
  { kind: "routes", size: 0, operation: "add", wallMs: spread(4), wall: spread(1), cpu: spread(1) },
  { kind: "routes", size: 10_000, operation: "add", wallMs: spread(5), wall: spread(1.25), cpu: spread(1.31) },
];

describe("growth", () => {
  test("is flat if neither time nor CPU time grows by more than 30 %", () => {
    expect(lines.map(isFlatGrowth)).toEqual([true, false]);
  });

  test("has a line for each number of objects", () => {
    expect(growthTable(lines).split("\n").slice(0, 3)).toEqual([
      "others      number  operation       ms  wall ratio            CPU ratio",
      "routes           0  add           4.00  1.00 [0.50, 2.00]     1.00 [0.50, 2.00]",
      "routes       10000  add           5.00  1.25 [0.63, 2.50]     1.31 [0.66, 2.62]",
    ]);
  });

  test("is drawn with one bar for each number of objects, the longest quartile at the full width", () => {
    const svg = growthPlot(lines);
    expect([...svg.matchAll(/<rect x="320" y="\d+" width="([\d.]+)"/g)].map(([, width]) => width)).toEqual([
      "304.0",
      "380.0",
    ]);
    expect(svg).toContain('x2="1080.0"');
  });
});

test("comparisonPlot() draws a bar for each suite that has the operation", () => {
  const of = (suite: string, operation: string, wallUs: number): Measure => {
    return { suite, scenario: "plain", operation, round: 2, wallUs, cpuUs: 1, peakKib: 1 };
  };
  const svg = comparisonPlot([of("go", "add", 4000), of("ours", "add", 1000), of("ours", "check", 500)]);
  expect(svg).toMatch(/plain add {2}go<.*>4\.00<.*>ours<.*>1\.00<.*plain check {2}ours<.*>0\.50</s);
  expect(svg).not.toMatch(/NaN|undefined/);
});

test("nodesFor() gives each suite its own nodes, and leaves out what it cannot run", () => {
  const all: Suite = { name: "ours", list: "ours", directory: "/a" };
  const single: Suite = { name: "floor", list: "ours", directory: "/b", serves: ({ isDual }) => !isDual };
  const names = (wanted: Suite) =>
    nodesFor([all, single], scenarios).flatMap(({ suite, scenarios: on }) =>
      suite === wanted ? on.map(({ name }) => name) : [],
    );
  expect(names(all).sort()).toEqual(scenarios.map(({ name }) => name).sort());
  expect(names(single)).not.toContain("plain-dual");
  expect(names(single)).toContain("full-empty");
});
