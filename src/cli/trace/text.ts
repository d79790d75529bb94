/** The way of a packet as text, and what it says on the whole. */
import { plural } from "../doctor/plural.ts";
import type { Hop, TraceFacts } from "./facts.ts";

const signs: Readonly<Record<Hop["verdict"], string>> = { good: "ok", wrong: "WRONG", unchecked: "?" };

/** The first hop that is wrong, if any. */
export function firstWrong(hops: readonly Hop[]): Hop | undefined {
  return hops.find(({ verdict }) => verdict === "wrong");
}

export function titleOf({ source, target }: Pick<TraceFacts, "source" | "target">): string {
  return `${source.name} (${source.address}) to ${describeTarget(target)}`;
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
    return `The packet gets no further than step ${hops.indexOf(wrong) + 1}: ${wrong.place}, ${wrong.what} ${wrong.text}.`;
  const unchecked = hops.filter(({ verdict }) => verdict === "unchecked").length;
  if (unchecked === 0) return "Nothing is wrong on the way.";
  return `Nothing that could be checked is wrong; ${plural(unchecked, "step")} could not be checked.`;
}

/** `colour` marks a sign; it must not change the width of the text. */
export function textOf(
  facts: TraceFacts,
  hops: readonly Hop[],
  colour: (sign: string, verdict: Hop["verdict"]) => string,
): string {
  const lines: string[] = [titleOf(facts), ""];
  const width = Math.max(...hops.map(({ what }) => what.length));
  let place = "";
  for (const [index, hop] of hops.entries()) {
    if (hop.place !== place) lines.push(place === "" ? hop.place : `   │\n${hop.place}`);
    place = hop.place;
    const sign = colour(signs[hop.verdict].padEnd(5), hop.verdict);
    lines.push(`   │ ${`${index + 1}`.padStart(2)} ${sign} ${hop.what.padEnd(width)}  ${hop.text}`);
  }
  const wrong = firstWrong(hops);
  const remedy = wrong?.remedy === undefined ? [] : ["", ...wrong.remedy.split("\n").map((line) => `  ${line}`)];
  const unread = facts.unread.map((one) => `Could not read ${one}.`);
  return `${[...lines, "", ...unread, conclusion(hops), ...remedy].join("\n")}\n`;
}
