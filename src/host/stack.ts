/**
 * Translates stack traces of a bundle to its sources.
 *
 * The build embeds a line table with each bundle. It is text, so it costs nothing until a bug is reported:
 *
 *   src/net/address.ts src/plugin/run.ts       the sources, separated by spaces
 *    |0:3; "#|1:40;                            then one entry per line of the bundle: a space for a line of the bundler itself,
 *                                              |<source>:<line>; or one character for a line of the same source as the entry before:
 *                                              ! the same line, " the next one, # the one after that, up to z
 */
import type { Native } from "./native.ts";

/** A position in a source, or nothing for a line of the bundler itself. */
export type SourceLine = { readonly source: string; readonly line: number } | undefined;

/** Replaces `bundle:line` by `source:line` in a stack trace of the running bundle. Returns any other text unchanged. */
export function resolveStack(stack: string): string {
  const { native } = globalThis as { native?: Native };
  return native === undefined ? stack : resolveStackWith(native.lineTable(), stack);
}

export function resolveStackWith(table: string, stack: string): string {
  const lines = decodeLineTable(table);
  return stack.replace(/\([\w-]+:(\d+)(?::\d+)?\)/g, (place, line: string) => {
    const found = lines[Number(line) - 1];
    return found === undefined ? place : `(${found.source}:${found.line})`;
  });
}

const sameLine = "!".charCodeAt(0);
const farthest = "z".charCodeAt(0) - sameLine;

export function encodeLineTable(lines: readonly SourceLine[]): string {
  const sources = [...new Set(lines.flatMap((place) => (place === undefined ? [] : [place.source])))];
  let before: SourceLine;
  const entries = lines.map((place) => {
    if (place === undefined) return " ";
    const step = before?.source === place.source ? place.line - before.line : -1;
    before = place;
    if (step >= 0 && step <= farthest) return String.fromCharCode(sameLine + step);
    return `|${sources.indexOf(place.source)}:${place.line};`;
  });
  return `${sources.join(" ")}\n${entries.join("")}`;
}

function decodeLineTable(table: string): readonly SourceLine[] {
  const [head = "", body = ""] = table.split("\n");
  const sources = head.split(" ");
  let source = "";
  let line = 0;
  const lines: SourceLine[] = [];
  for (const [entry, index, start] of body.matchAll(/\|(\d+):(\d+);|./g)) {
    if (entry === " ") {
      lines.push(undefined);
      continue;
    }
    if (index === undefined) line += entry.charCodeAt(0) - sameLine;
    else {
      source = sources[Number(index)] ?? "";
      line = Number(start);
    }
    lines.push({ source, line });
  }
  return lines;
}
