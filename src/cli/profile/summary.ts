/** Where the time of an operation went: one row for each phase of each process, one column for each use. */
import type { Table } from "../ui/table.ts";
import { type Use, useOfCall, uses } from "./labels.ts";
import type { Operation, ProcessTrace } from "./trace.ts";

/** Nanoseconds. */
export type Times = Readonly<Record<Use, number>>;

export interface PhaseSummary {
  readonly plugin: string;
  readonly phase: string;
  readonly took: number;
  readonly times: Times;
  readonly calls: number;
}

const nothing = Object.fromEntries(uses.map((use) => [use, 0])) as Times;

/** Phases with the same name count as one: a main plugin continues after its IPAM plugin. */
export function phasesOf(process: ProcessTrace): readonly PhaseSummary[] {
  const { plugin, startCpu, startWait } = process;
  const start = startCpu + startWait;
  const found = new Map<string, PhaseSummary>();
  if (start > 0)
    found.set("start", { plugin, phase: "start", took: start, times: { ...nothing, other: start }, calls: 0 });
  for (const { phase, at, took } of process.phases) {
    const before = found.get(phase) ?? { plugin, phase, took: 0, times: nothing, calls: 0 };
    const within = process.calls.filter((call) => call.at >= at && call.at < at + took);
    const times: Record<Use, number> = { ...before.times };
    for (const call of within) times[useOfCall(call)] += call.took;
    times.engine += took - within.reduce((sum, call) => sum + call.took, 0);
    found.set(phase, { plugin, phase, took: before.took + took, times, calls: before.calls + within.length });
  }
  return [...found.values()];
}

/** Milliseconds; columns without any time are omitted. */
export function summaryTable({ processes }: Operation): Table {
  const phases = processes.flatMap(phasesOf);
  const shown = uses.filter((use) => phases.some(({ times }) => times[use] > 0));
  const total = (value: (phase: PhaseSummary) => number) => phases.reduce((sum, phase) => sum + value(phase), 0);
  const columns = ["MS", ...shown.map((use) => use.toUpperCase()), "CALLS"];
  return {
    columns: [{ title: "PLUGIN" }, { title: "PHASE" }, ...columns.map((title) => ({ title, align: "right" }) as const)],
    rows: [
      ...phases.map(({ plugin, phase, took, times, calls }) => [
        plugin,
        phase,
        ...[took, ...shown.map((use) => times[use])].map(milliseconds),
        `${calls}`,
      ]),
      [
        "",
        "total",
        ...[total(({ took }) => took), ...shown.map((use) => total(({ times }) => times[use]))].map(milliseconds),
        `${total(({ calls }) => calls)}`,
      ],
    ],
  };
}

export function milliseconds(nanoseconds: number): string {
  return (nanoseconds / 1e6).toFixed(3);
}
