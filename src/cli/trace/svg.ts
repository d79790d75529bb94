/** The way of a packet as a picture: a box for each place, a line for each step, from top to bottom. */
import { escaped } from "../ui/svg.ts";
import type { Hop, TraceFacts } from "./facts.ts";
import { conclusion, titleOf } from "./text.ts";

const width = 960;
const margin = 16;
const line = 22;
/** Between two boxes, for the arrow. */
const gap = 26;
const colours: Readonly<Record<Hop["verdict"], string>> = { good: "#3a7d34", wrong: "#c0322b", unchecked: "#8a8a8a" };
/** Of a character of the 12 px font. */
const characterWidth = 7.25;
const maxText = Math.floor((width - 250 - 2 * margin) / characterWidth);

export function svgOf(facts: TraceFacts, hops: readonly Hop[]): string {
  const parts: string[] = [text(margin, 24, titleOf(facts), "#000", "bold")];
  let y = 42;
  for (const [index, group] of groupsOf(hops).entries()) {
    if (index > 0) {
      parts.push(arrow(y));
      y += gap;
    }
    const height = (group.length + 1) * line + 8;
    parts.push(
      `<rect x="${margin}" y="${y}" width="${width - 2 * margin}" height="${height}" rx="6" fill="#f6f6f3" stroke="#c9c9c4"/>`,
    );
    parts.push(text(margin + 12, y + 18, group[0]?.hop.place ?? "", "#000", "bold"));
    for (const [row, { hop, number }] of group.entries()) parts.push(step(hop, number, y + (row + 1) * line + 18));
    y += height;
  }
  parts.push(
    text(margin, y + 28, cut(conclusion(hops), Math.floor((width - 2 * margin) / characterWidth)), "#000", "bold"),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + 44}" font-family="monospace" font-size="12">`,
    `<title>${escaped(titleOf(facts))}</title>`,
    `<rect width="100%" height="100%" fill="white"/>`,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

interface Step {
  readonly hop: Hop;
  readonly number: number;
}

/** Steps in one place after another. */
function groupsOf(hops: readonly Hop[]): readonly (readonly Step[])[] {
  const groups: Step[][] = [];
  for (const [index, hop] of hops.entries()) {
    const last = groups.at(-1);
    if (last !== undefined && last[0]?.hop.place === hop.place) last.push({ hop, number: index + 1 });
    else groups.push([{ hop, number: index + 1 }]);
  }
  return groups;
}

function step({ what, text: said, verdict, remedy }: Hop, number: number, y: number): string {
  const colour = colours[verdict];
  const title = `<title>${escaped([said, ...(remedy === undefined ? [] : [remedy])].join("\n"))}</title>`;
  return [
    `<g>${title}<circle cx="${margin + 20}" cy="${y - 4}" r="8" fill="${colour}"/>`,
    `<text x="${margin + 20}" y="${y}" text-anchor="middle" fill="white" font-size="10">${number}</text>`,
    text(margin + 38, y, cut(what, 26), colour, "bold"),
    `${text(250, y, cut(said, maxText), "#000")}</g>`,
  ].join("");
}

function arrow(y: number): string {
  const x = margin + 20;
  return `<path d="M ${x} ${y + 3} V ${y + gap - 5} M ${x - 4} ${y + gap - 11} L ${x} ${y + gap - 4} L ${x + 4} ${y + gap - 11}" stroke="#555" fill="none"/>`;
}

function text(x: number, y: number, content: string, fill: string, weight = "normal"): string {
  return `<text x="${x}" y="${y}" fill="${fill}" font-weight="${weight}">${escaped(content)}</text>`;
}

function cut(content: string, length: number): string {
  return content.length <= length ? content : `${content.slice(0, length - 1)}…`;
}
