/**
 * The operations of a trace as SVG: for each process a row of phases and below it a row of calls, over one axis of time. A title element of each
 * rectangle has its label and times, which viewers show under the pointer.
 */
import { escaped } from "../ui/svg.ts";
import { labelOf, type Use, useOfCall, uses } from "./labels.ts";
import { milliseconds } from "./summary.ts";
import type { Operation, ProcessTrace } from "./trace.ts";
import { extentOf, startOf } from "./waterfall.ts";

const width = 1200;
const margin = 10;
const rowHeight = 20;
const textHeight = 14;
/** Of a character of the 11 px font, to omit labels that do not fit. */
const characterWidth = 6.6;

const colours: Readonly<Record<Use, string>> = {
  engine: "#e8e8e8",
  netlink: "#7aa6da",
  files: "#b9ca4a",
  programs: "#e78c45",
  agent: "#c397d8",
  locks: "#d54e53",
  other: "#b0b0b0",
};

export function svgOf(operations: readonly Operation[]): string {
  const parts: string[] = [];
  let y = margin;
  for (const operation of operations) {
    const { content, height } = operationRows(operation, y);
    parts.push(content);
    y += height + margin;
  }
  const legend = uses.map((use, index) => {
    const x = margin + index * 100;
    return `${rectangle({ x, y, width: 12, height: 12, fill: colours[use] })}${textAt(x + 16, y + 10, use)}`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + 30}" font-family="monospace" font-size="11">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    ...parts,
    ...legend,
    "</svg>\n",
  ].join("\n");
}

function operationRows(operation: Operation, top: number): { readonly content: string; readonly height: number } {
  const { begin, end } = extentOf(operation);
  const scale = (width - 2 * margin) / Math.max(1, end - begin);
  const { command, container, ifname } = operation;
  const title = `${command} ${container} ${ifname}: ${milliseconds(end - begin)} ms`;
  const rows = operation.processes.map((process, index) =>
    processRows(process, top + textHeight + 6 + index * (2 * rowHeight + textHeight + 8), (at) => {
      return margin + (at - begin) * scale;
    }),
  );
  const height = textHeight + 6 + rows.length * (2 * rowHeight + textHeight + 8);
  return { content: [textAt(margin, top + textHeight, title), ...rows].join("\n"), height };
}

function processRows(process: ProcessTrace, top: number, xOf: (at: number) => number): string {
  const span = (at: number, took: number, y: number, fill: string, label: string) => {
    const x = xOf(at);
    const wide = Math.max(0.3, xOf(at + took) - x);
    const fits = label.length * characterWidth < wide;
    const title = `<title>${escaped(`${label}: ${milliseconds(took)} ms`)}</title>`;
    return `<g>${title}${rectangle({ x, y, width: wide, height: rowHeight - 2, fill })}${fits ? textAt(x + 3, y + 13, label) : ""}</g>`;
  };
  const start = startOf(process);
  const phasesAt = top + textHeight;
  return [
    textAt(xOf(start), top + textHeight - 3, `${process.plugin} (process ${process.pid})`),
    span(start, process.at - start, phasesAt, colours.other, "start"),
    ...process.phases.map(({ phase, at, took }) => span(at, took, phasesAt, colours.engine, phase)),
    ...process.calls.map((call) =>
      span(call.at, call.took, phasesAt + rowHeight, colours[useOfCall(call)], labelOf(call)),
    ),
  ].join("\n");
}

interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly fill: string;
}

function rectangle({ x, y, width: wide, height, fill }: Rectangle): string {
  return `<rect x="${x.toFixed(2)}" y="${y}" width="${wide.toFixed(2)}" height="${height}" fill="${fill}" stroke="white" stroke-width="0.3"/>`;
}

function textAt(x: number, y: number, text: string): string {
  return `<text x="${x.toFixed(2)}" y="${y}">${escaped(text)}</text>`;
}
