/**
 * Stacks of a bundle, told in terms of the sources it was made from.
 *
 * The build embeds a line table beside each bundle. It is text, so that it costs nothing until a bug is reported:
 *
 *   src/net/address.ts src/plugin/run.ts       the sources, separated by spaces
 *   ,0:3,,+1,+2,1:40                           one entry per line of the bundle, separated by commas:
 *                                              <source>:<line>, +<lines after the entry before, same source>, or nothing
 */
import type { Native } from "./native.ts";

/** A position in a source, or nothing for a line that the bundler made. */
export type SourceLine = { readonly source: string; readonly line: number } | undefined;

/** Replaces `bundle:line:column` by `source:line` in a stack of the bundle that runs. Elsewhere, returns it as it is. */
export function resolveStack(stack: string): string {
  const { native } = globalThis as { native?: Native };
  return native === undefined ? stack : resolveStackWith(native.lineTable(), stack);
}

export function resolveStackWith(table: string, stack: string): string {
  const lines = decodeLineTable(table);
  return stack.replace(/\([\w-]+:(\d+):\d+\)/g, (place, line: string) => {
    const found = lines[Number(line) - 1];
    return found === undefined ? place : `(${found.source}:${found.line})`;
  });
}

export function encodeLineTable(lines: readonly SourceLine[]): string {
  const sources = [...new Set(lines.flatMap((place) => (place === undefined ? [] : [place.source])))];
  let before: SourceLine;
  const entries = lines.map((place) => {
    if (place === undefined) {
      return "";
    }
    const near = before?.source === place.source && place.line >= before.line;
    const entry = near ? `+${place.line - (before?.line ?? 0)}` : `${sources.indexOf(place.source)}:${place.line}`;
    before = place;
    return entry;
  });
  return `${sources.join(" ")}\n${entries.join(",")}`;
}

function decodeLineTable(table: string): readonly SourceLine[] {
  const [head = "", body = ""] = table.split("\n");
  const sources = head.split(" ");
  let source = "";
  let line = 0;
  return body.split(",").map((entry) => {
    if (entry === "") {
      return undefined;
    }
    if (entry.startsWith("+")) {
      line += Number(entry.slice(1));
    } else {
      const [index, start] = entry.split(":");
      source = sources[Number(index)] ?? "";
      line = Number(start);
    }
    return { source, line };
  });
}
