/** Plots of the bench as SVG: a group of horizontal bars for each operation, with a line from the lower to the upper quartile. */
import { type Spread, spreadOf } from "./comparison.ts";
import type { GrowthLine } from "./growth.ts";
import type { Measure } from "./measure.ts";

interface Bar {
  readonly label: string;
  readonly spread: Spread;
}

interface BarGroup {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const labelWidth = 320;
const plotWidth = 760;
const barHeight = 14;
const groupGap = 10;
const top = 40;
/** A colour for each label, in the order of their appearance. */
const palette = ["#4a7ab5", "#d1872f", "#6aa56e", "#a55d8f", "#8a8a8a", "#c0b13f"];

/** Milliseconds of each suite, for each operation of each scenario. */
export function comparisonPlot(measures: readonly Measure[]): string {
  const suites = [...new Set(measures.map(({ suite }) => suite))];
  const groups = [...new Set(measures.map(({ scenario, operation }) => `${scenario} ${operation}`))].map((title) => {
    const of = (suite: string) =>
      measures.filter((one) => one.suite === suite && `${one.scenario} ${one.operation}` === title);
    const bars = suites
      .filter((suite) => of(suite).length > 0)
      .map((suite) => ({ label: suite, spread: spreadOf(of(suite).map(({ wallUs }) => wallUs / 1000)) }));
    return { title, bars };
  });
  return plotOf("milliseconds, median and quartiles; each operation has its own scale", groups);
}

/** Milliseconds for each number of other objects. */
export function growthPlot(lines: readonly GrowthLine[]): string {
  const groups = [...new Set(lines.map(({ kind, operation }) => `${kind} ${operation}`))].map((title) => {
    const bars = lines
      .filter(({ kind, operation }) => `${kind} ${operation}` === title)
      .map(({ size, wallMs }) => ({ label: `${size}`, spread: wallMs }));
    return { title, bars };
  });
  return plotOf("milliseconds by the number of other objects, median and quartiles", groups);
}

/** Each group has a scale of its own, because the operations differ by orders of magnitude: the longest bar takes the whole width. */
function plotOf(title: string, groups: readonly BarGroup[]): string {
  const labels = [...new Set(groups.flatMap(({ bars }) => bars.map(({ label }) => label)))];
  const parts: string[] = [];
  let y = top;
  for (const { title: name, bars } of groups) {
    const scale = plotWidth / Math.max(...bars.map(({ spread }) => spread.upper), Number.MIN_VALUE);
    for (const [index, { label, spread }] of bars.entries()) {
      const colour = palette[labels.indexOf(label) % palette.length];
      const middle = y + barHeight / 2;
      parts.push(
        text(labelWidth - 8, y + 11, index === 0 ? `${name}  ${label}` : label, "end"),
        `<rect x="${labelWidth}" y="${y + 1}" width="${(spread.median * scale).toFixed(1)}" height="${barHeight - 3}" fill="${colour}"/>`,
        `<line x1="${(labelWidth + spread.lower * scale).toFixed(1)}" x2="${(labelWidth + spread.upper * scale).toFixed(1)}" y1="${middle}" y2="${middle}" stroke="black"/>`,
        text(labelWidth + plotWidth + 8, y + 11, spread.median.toFixed(2), "start"),
      );
      y += barHeight;
    }
    y += groupGap;
  }
  const size = `width="${labelWidth + plotWidth + 80}" height="${y}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="monospace" font-size="11">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    text(10, 20, title, "start"),
    ...parts,
    "</svg>",
  ].join("\n");
}

function text(x: number, y: number, content: string, anchor: "start" | "end"): string {
  const escaped = content.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${escaped}</text>`;
}
