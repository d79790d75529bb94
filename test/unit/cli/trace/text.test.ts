import { expect, test } from "vitest";
import { hopsOf } from "../../../../src/cli/trace/hops.ts";
import { textOf } from "../../../../src/cli/trace/text.ts";
import { byVxlan, type healthy, local, ways } from "./example.ts";

const plain = (text: string) => text;
const linesOf = (facts: typeof healthy, columns: number | undefined) =>
  textOf(facts, hopsOf(facts), { colour: plain, columns }).split("\n");

test.each([80, 120])("fits into a terminal of %i columns", (columns) => {
  for (const facts of Object.values(ways))
    for (const line of linesOf(facts, columns)) expect(line.length, line).toBeLessThanOrEqual(columns);
});

test("for a program, each step is one line", () => {
  const steps = linesOf(byVxlan, undefined).filter((line) => /^ {3}│ [ \d]\d /.test(line));
  expect(steps).toHaveLength(hopsOf(byVxlan).length);
});

test("colours change nothing but colours", () => {
  const coloured = textOf(local, hopsOf(local), { colour: (text) => `\u001b[31m${text}\u001b[39m`, columns: 80 });
  expect(coloured.replaceAll(/\u001b\[\d+m/g, "")).toBe(linesOf(local, 80).join("\n"));
});

test("a long name has its text below", () => {
  const neighbour = {
    ...local,
    sender: { ...local.sender, route: { ...local.sender.route, gateway: "fe80::1234:5678:9abc:def0" } },
  };
  const lines = linesOf(neighbour as typeof healthy, 80);
  const at = lines.findIndex((line) => line.includes("ARP for fe80"));
  expect(lines[at]?.trimEnd()).toMatch(/fe80::1234:5678:9abc:def0$/);
  expect(lines[at + 1]).toMatch(/^ {3}│ {20,}is ee:ee/);
});
