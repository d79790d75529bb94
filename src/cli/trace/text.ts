/** The way of a packet as text, and what it says on the whole. */
import wrapAnsi from "wrap-ansi";
import { plural } from "../doctor/plural.ts";
import type { Hop, TraceFacts } from "./facts.ts";

const signs: Readonly<Record<Hop["verdict"], string>> = { good: "ok", wrong: "WRONG", unchecked: "?" };

/** The first hop that is wrong, if any. */
export function firstWrong(hops: readonly Hop[]): Hop | undefined {
  return hops.find(({ verdict }) => verdict === "wrong");
}

export function titleOf({ source, target, redirect }: Pick<TraceFacts, "source" | "target" | "redirect">): string {
  const by = redirect?.to === undefined ? "" : `, by the ${redirect.what} ${redirect.asked}`;
  return `${source.name} (${source.address}) to ${describeTarget(target)}${by}`;
}

function describeTarget(target: TraceFacts["target"]): string {
  const { address } = target;
  switch (target.kind) {
    case "local pod":
      return `${target.pod.name} (${address}) on this node`;
    case "far pod":
      return `${target.pod === undefined ? address : `${target.pod} (${address})`} on ${target.on.name}`;
    case "far node":
      return `node ${target.on.name} (${address})`;
    case "this node":
      return `this node (${address})`;
    case "unallocated":
      return `${address}, which no pod has`;
    case "outside":
      return `${address}, outside of the cluster`;
  }
}

export function conclusion(hops: readonly Hop[]): string {
  const wrong = firstWrong(hops);
  if (wrong !== undefined)
    return `The ${wrong.isReply ? "reply" : "packet"} gets no further than step ${hops.indexOf(wrong) + 1}: ${wrong.place}, ${sentence(wrong)}.`;
  const unchecked = hops.filter(({ verdict }) => verdict === "unchecked").length;
  if (unchecked === 0) return "Nothing is wrong on the way.";
  return `Nothing that could be checked is wrong; ${plural(unchecked, "step")} could not be checked.`;
}

/** `eth0 is down`, `reply: No route to host`. */
function sentence({ what, text }: Hop): string {
  return /^(is|has|lacks|does|did|leaves|should) /.test(text) ? `${what} ${text}` : `${what}: ${text}`;
}

/** Above the steps in one place. */
export function headingOf({ place, isReply }: Hop): string {
  return isReply ? `${place}, reply` : place;
}

export interface Look {
  /** Marks a part of a step; it must not change the width of the text. */
  readonly colour: (text: string, verdict: Hop["verdict"]) => string;
  /** Of the terminal; `undefined`: lines are as long as they are, for programs that read them. */
  readonly columns: number | undefined;
}

/** A longer name, as of an IPv6 neighbour, has its text on the next line. */
const maxName = 24;
/** Before the name: the line of the way, the number and the sign. */
const signWidth = 14;

export function textOf(facts: TraceFacts, hops: readonly Hop[], look: Look): string {
  const lines: string[] = [wrapped(titleOf(facts), look), ""];
  const width = Math.max(...hops.map(({ what }) => what.length).filter((length) => length <= maxName));
  let place = "";
  for (const [index, hop] of hops.entries()) {
    const heading = headingOf(hop);
    if (heading !== place) lines.push(place === "" ? heading : `   │\n${heading}`);
    place = heading;
    lines.push(...stepLines(hop, index + 1, width, look));
  }
  const wrong = firstWrong(hops);
  const remedy = wrong?.remedy === undefined ? [] : ["", ...wrong.remedy.split("\n").map((line) => `  ${line}`)];
  const unread = facts.unread.map((one) => wrapped(`Could not read ${one}.`, look));
  return `${[...lines, "", ...unread, wrapped(conclusion(hops), look), ...remedy].join("\n")}\n`;
}

function stepLines(hop: Hop, number: number, width: number, look: Look): readonly string[] {
  const { verdict, what, text } = hop;
  const indent = signWidth + width + 2;
  const head = `   │ ${`${number}`.padStart(2)} ${look.colour(signs[verdict].padEnd(5), verdict)} ${what.padEnd(width)}`;
  const said = wrapped(text, look, indent)
    .split("\n")
    .map((line) => (verdict === "good" ? line : look.colour(line, verdict)));
  const behind = `   │${" ".repeat(indent - "   │".length)}`;
  const [first = "", ...rest] = said;
  const below = (lines: readonly string[]) => lines.map((line) => behind + line);
  return what.length > width ? [head, ...below(said)] : [`${head}  ${first}`, ...below(rest)];
}

/** A word that is too long stays whole: it may be copied. */
function wrapped(text: string, { columns }: Look, indent = 0): string {
  return columns === undefined ? text : wrapAnsi(text, Math.max(minWidth, columns - indent), { hard: false });
}

const minWidth = 24;
