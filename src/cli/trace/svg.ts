/** The way of a packet as a picture: a box for each place, a line for each step, from top to bottom, and the remedy. */
import wrapAnsi from "wrap-ansi";
import { escaped } from "../ui/svg.ts";
import type { Hop, TraceFacts } from "./facts.ts";
import { conclusion, firstWrong, headingOf, titleOf } from "./text.ts";

const width = 960;
const margin = 16;
const line = 22;
/** Between lines of one step. */
const tight = 16;
/** Between two boxes, for the arrow. */
const gap = 26;
const colours: Readonly<Record<Hop["verdict"], string>> = { good: "#3a7d34", wrong: "#c0322b", unchecked: "#767676" };
/** Of a character of the 12 px font. */
const characterWidth = 7.25;
/** Where the text of a step begins. */
const textLeft = 250;
const maxText = Math.floor((width - textLeft - 2 * margin) / characterWidth);
const maxLine = Math.floor((width - 2 * margin) / characterWidth);
const maxName = Math.floor((textLeft - margin - 46) / characterWidth);

export function svgOf(facts: TraceFacts, hops: readonly Hop[]): string {
  const parts: string[] = [text(margin, 24, titleOf(facts), "#000", "bold")];
  let y = 42;
  for (const [index, group] of groupsOf(hops).entries()) {
    if (index > 0) {
      parts.push(arrow(y));
      y += gap;
    }
    const height = line + 8 + group.reduce((sum, { hop }) => sum + heightOf(hop), 0);
    parts.push(
      `<rect x="${margin}" y="${y}" width="${width - 2 * margin}" height="${height}" rx="6" fill="#f6f6f3" stroke="#c9c9c4"/>`,
    );
    const [head] = group;
    if (head !== undefined) parts.push(text(margin + 12, y + 18, headingOf(head.hop), "#000", "bold"));
    let below = y + line;
    for (const { hop, number } of group) {
      parts.push(step(hop, number, below + 18));
      below += heightOf(hop);
    }
    y += height;
  }
  const closing = closingLines(hops).map(({ content, weight }, row) =>
    text(weight === "bold" ? margin : margin + 14, y + 28 + row * tight, content, "#000", weight),
  );
  const height = y + 28 + closing.length * tight;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="monospace" font-size="12">`,
    `<title>${escaped(titleOf(facts))}</title>`,
    `<rect width="100%" height="100%" fill="white"/>`,
    ...parts,
    ...closing,
    "</svg>\n",
  ].join("\n");
}

interface Closing {
  readonly content: string;
  readonly weight: "bold" | "normal";
}

function closingLines(hops: readonly Hop[]): readonly Closing[] {
  const said = fold(conclusion(hops), maxLine).map((content) => ({ content, weight: "bold" }) as const);
  const commands = firstWrong(hops)?.remedy?.split("\n") ?? [];
  const folded = commands.flatMap((command) => fold(command, maxLine - 2));
  return [...said, ...folded.map((content) => ({ content, weight: "normal" }) as const)];
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
    const step = { hop, number: index + 1 };
    if (last?.[0] !== undefined && headingOf(last[0].hop) === headingOf(hop)) last.push(step);
    else groups.push([step]);
  }
  return groups;
}

function heightOf({ text: said }: Hop): number {
  return line + (fold(said, maxText).length - 1) * tight;
}

function step(hop: Hop, number: number, y: number): string {
  const { what, text: said, verdict, remedy } = hop;
  const colour = colours[verdict];
  const title = `<title>${escaped([`${what}: ${said}`, ...(remedy === undefined ? [] : [remedy])].join("\n"))}</title>`;
  const band =
    verdict === "wrong"
      ? `<rect x="${margin + 4}" y="${y - 15}" width="${width - 2 * margin - 8}" height="${heightOf(hop)}" rx="4" fill="#fbe3e1"/>`
      : "";
  // Not by its colour alone: a step that could not be checked is hollow, and the wrong one has a band.
  const [fill, digits] = verdict === "unchecked" ? ["white", colour] : [colour, "white"];
  return [
    `<g>${title}${band}<circle cx="${margin + 20}" cy="${y - 4}" r="8" fill="${fill}" stroke="${colour}"/>`,
    `<text x="${margin + 20}" y="${y}" text-anchor="middle" fill="${digits}" font-size="10">${number}</text>`,
    text(margin + 38, y, cut(what, maxName), colour, "bold"),
    ...fold(said, maxText).map((part, row) => text(textLeft, y + row * tight, part, "#000")),
    "</g>",
  ].join("");
}

function arrow(y: number): string {
  const x = margin + 20;
  return `<path d="M ${x} ${y + 3} V ${y + gap - 5} M ${x - 4} ${y + gap - 11} L ${x} ${y + gap - 4} L ${x + 4} ${y + gap - 11}" stroke="#555" fill="none"/>`;
}

function text(x: number, y: number, content: string, fill: string, weight = "normal"): string {
  return `<text x="${x}" y="${y}" fill="${fill}" font-weight="${weight}">${escaped(content)}</text>`;
}

function fold(content: string, length: number): readonly string[] {
  return wrapAnsi(content, length, { hard: true }).split("\n");
}

function cut(content: string, length: number): string {
  return content.length <= length ? content : `${content.slice(0, length - 1)}…`;
}
