/**
 * An operation over time, as text:
 *
 *        AT      MS
 *     0.000   2.911  ████████████████████████████████  calico (process 38)
 *     0.000   0.412  ████▌                               start
 *     0.412   0.069      ▊                               input (and 1 shorter call)
 */
import type { TracedPhase } from "../../host/traced-sys.ts";
import { labelOf } from "./labels.ts";
import { milliseconds } from "./summary.ts";
import type { Operation, ProcessTrace } from "./trace.ts";

export interface Span {
  /** Nanoseconds. */
  readonly at: number;
  readonly took: number;
  readonly label: string;
}

const barWidth = 32;
/** A block character for each eighth of a cell. */
const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** When the runtime created the first process, and when the last one ended. */
export function extentOf({ processes }: Operation): { readonly begin: number; readonly end: number } {
  return { begin: Math.min(...processes.map(startOf)), end: Math.max(...processes.map(({ end }) => end)) };
}

export function startOf({ at, startCpu, startWait }: ProcessTrace): number {
  return at - startCpu - startWait;
}

/** Each process with its phases, and the calls in each phase. Calls shorter than `minNs` are counted, not shown. */
export function waterfall(operation: Operation, minNs: number): string {
  const { begin, end } = extentOf(operation);
  const lines = operation.processes.flatMap((process) => {
    const start = startOf(process);
    return [
      { at: start, took: process.end - start, label: `${process.plugin} (process ${process.pid})` },
      { at: start, took: process.at - start, label: "  start" },
      ...process.phases.flatMap((phase) => spansOf(phase, process, minNs)),
    ].map(({ at, took, label }) => lineOf({ at: at - begin, took, label }, end - begin));
  });
  return ["      AT        MS", ...lines].map((line) => `${line}\n`).join("");
}

function spansOf({ phase, at, took }: TracedPhase, { calls }: ProcessTrace, minNs: number): readonly Span[] {
  const within = calls.filter((call) => call.at >= at && call.at < at + took);
  const shown = within.filter((call) => call.took >= minNs);
  const hidden = within.length - shown.length;
  const label = `  ${phase}${hidden === 0 ? "" : ` (and ${hidden} shorter ${hidden === 1 ? "call" : "calls"})`}`;
  return [{ at, took, label }, ...shown.map((call) => ({ ...call, label: `    ${labelOf(call)}` }))];
}

function lineOf({ at, took, label }: Span, whole: number): string {
  return `${milliseconds(at).padStart(8)}  ${milliseconds(took).padStart(8)}  ${barOf(at, took, whole)}${label}`;
}

function barOf(at: number, took: number, whole: number): string {
  const scale = barWidth / Math.max(1, whole);
  const first = Math.min(barWidth - 1, Math.floor(at * scale));
  const cells = Math.max(1 / 8, Math.min(took * scale, barWidth - first));
  const full = Math.floor(cells);
  const bar = "█".repeat(full) + (eighths[Math.round((cells - full) * 8)] ?? "█");
  return `${" ".repeat(first)}${bar}`.padEnd(barWidth + 2);
}
