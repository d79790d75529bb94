/** `tortie trace`: the way of a packet from a pod of this node, step by step, from the real tables. */
import { createColors } from "picocolors";
import type { Cli } from "../cli.ts";
import { type Accepted, command } from "../definition.ts";
import { type ExitStatus, exitStatus } from "../error.ts";
import type { Hop } from "./facts.ts";
import { gatherTrace } from "./gather.ts";
import { hopsOf } from "./hops.ts";
import { svgOf } from "./svg.ts";
import { conclusion, firstWrong, type Look, textOf, titleOf } from "./text.ts";

const positionals = {
  pod: {
    type: "string",
    describe: "a pod of this node: its name, namespace/name, address or container ID",
    required: true,
  },
  target: {
    type: "string",
    describe: "where the packet goes: a pod, a node, or any address; with :PORT or :PORT/udp, a host port",
    required: true,
  },
} as const;

const options = {
  output: {
    type: "string",
    alias: "o",
    choices: ["text", "json", "svg"],
    default: "text",
    describe: "form of the output",
  },
} as const;

export const traceCommand = command({
  path: "trace",
  describe: "Show the way of a packet from a pod, step by step, and the first step that is wrong",
  long:
    "Reads the tables that the packet meets: in the pod, on this node, and what the datastore says of the node at the other end. " +
    "Changes nothing and sends no packet. A step with ? could not be checked from here. Exits with 3 if a step is wrong.",
  examples: [
    ["$0 trace default/web-0 default/web-1", "between two pods"],
    ["$0 trace 192.168.61.193 node-c", "to a node"],
    ["$0 trace web-0 203.0.113.1:8080", "to a host port of this node"],
    ["$0 trace web-0 203.0.113.7 -o svg > way.svg", "to the outside, as a picture"],
  ],
  positionals,
  options,
  action: trace,
});

async function trace(
  cli: Cli,
  { pod, target, output }: Accepted<typeof positionals, typeof options>,
): Promise<ExitStatus> {
  const facts = await gatherTrace(cli, pod, target);
  const hops = hopsOf(facts);
  if (output === "svg") cli.out(svgOf(facts, hops));
  else if (output === "json")
    cli.out(`${JSON.stringify(documentOf(titleOf(facts), hops, facts.unread), undefined, 2)}\n`);
  else cli.out(textOf(facts, hops, lookOf(cli)));
  return firstWrong(hops) === undefined ? exitStatus.done : exitStatus.problems;
}

function documentOf(title: string, hops: readonly Hop[], unread: readonly string[]) {
  const wrong = firstWrong(hops);
  return { title, conclusion: conclusion(hops), ...(wrong && { firstWrong: hops.indexOf(wrong) }), hops, unread };
}

function lookOf({ terminal }: Cli): Look {
  const { green, red, dim } = createColors(terminal.colours);
  const colours = { good: green, wrong: red, unchecked: dim };
  return {
    colour: (text, verdict) => colours[verdict](text),
    columns: terminal.isTerminal ? terminal.columns : undefined,
  };
}
