/** Ratios between the measurements of two suites, taken within each round: medians, quartiles and their table. */
import type { Measure } from "./measure.ts";

export interface Spread {
  readonly median: number;
  readonly lower: number;
  readonly upper: number;
}

export interface Comparison {
  /** The suite that ours is compared with. */
  readonly to: string;
  readonly scenario: string;
  readonly operation: string;
  readonly theirWallMs: number;
  readonly ourWallMs: number;
  readonly wall: Spread;
  readonly cpu: Spread;
  readonly peak: Spread;
  readonly target: Target;
  readonly met: boolean;
}

type Aspect = "wall" | "cpu" | "peak";
type Target = { readonly [A in Aspect]?: number };

const aspects = ["wall", "cpu", "peak"] as const;
const values: { readonly [A in Aspect]: (measure: Measure) => number } = {
  wall: ({ wallUs }) => wallUs,
  cpu: ({ cpuUs }) => cpuUs,
  peak: ({ peakKib }) => peakKib,
};

/** Upper bounds of the ratio to Go's suite. */
const targets: { readonly [line: string]: Target } = {
  "full add": { wall: 0.25, cpu: 0.25, peak: 0.7 },
  "plain add": { wall: 0.5, peak: 0.7 },
  "full del": { wall: 0.6, peak: 0.7 },
};

/** Compares every operation of every scenario with suite `to`. */
export function compare(all: readonly Measure[], to: string): readonly Comparison[] {
  const lines = new Map(all.map(({ scenario, operation }) => [`${scenario} ${operation}`, { scenario, operation }]));
  return [...lines.values()].flatMap(({ scenario, operation }) => {
    const of = (suite: string) =>
      all.filter((one) => one.suite === suite && one.scenario === scenario && one.operation === operation);
    const [theirs, ours] = [of(to), of("ours")];
    if (theirs.length === 0) return [];
    const [wall, cpu, peak] = aspects.map((aspect) => ratios(ours, theirs, values[aspect])) as [Spread, Spread, Spread];
    const target = (to === "go" ? targets[`${scenario} ${operation}`] : undefined) ?? {};
    const found = { wall, cpu, peak };
    const line = {
      to,
      scenario,
      operation,
      theirWallMs: spreadOf(theirs.map(values.wall)).median / 1000,
      ourWallMs: spreadOf(ours.map(values.wall)).median / 1000,
      ...found,
      target,
      met: aspects.every((aspect) => found[aspect].median <= (target[aspect] ?? Number.POSITIVE_INFINITY)),
    };
    return [line];
  });
}

/** Pairs the measurements by round, so that a slow phase of the machine affects both alike. */
export function ratios(
  ours: readonly Measure[],
  theirs: readonly Measure[],
  value: (measure: Measure) => number,
): Spread {
  const byRound = new Map(theirs.map((measure) => [measure.round, value(measure)]));
  return spreadOf(ours.map((measure) => value(measure) / (byRound.get(measure.round) ?? Number.NaN)));
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((one, other) => one - other);
  const at = (share: number): number => {
    const place = share * (sorted.length - 1);
    const [low = Number.NaN, high = low] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
    return low + (high - low) * (place % 1);
  };
  return { median: at(0.5), lower: at(0.25), upper: at(0.75) };
}

export function comparisonTable(lines: readonly Comparison[], parallel: number): string {
  const rows = lines.map((line) => [
    line.scenario,
    line.operation.replace("-parallel", ` x${parallel}`),
    line.to,
    line.theirWallMs.toFixed(1),
    line.ourWallMs.toFixed(1),
    ...aspects.map((aspect) => ratioText(line[aspect], line.target[aspect])),
  ]);
  const head = ["pod", "operation", "to", "their ms", "our ms", "wall ratio", "CPU ratio", "memory ratio"];
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const text = [head, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [...text, "", "ratio: ours to theirs within a round, median [quartiles] (target: passed or MISSED)"].join(
    "\n",
  );
}

function ratioText({ median, lower, upper }: Spread, target: number | undefined): string {
  const ratio = `${median.toFixed(2)} [${lower.toFixed(2)}, ${upper.toFixed(2)}]`;
  if (target === undefined) return ratio;
  return `${ratio} (${target.toFixed(2)}: ${median <= target ? "passed" : "MISSED"})`;
}
