/** `tortie profile`: shows where the time of operations went, from the trace that plugins write if `TORTIE_TRACE` is set. */
import type { Cli } from "../cli.ts";
import { type Accepted, command } from "../definition.ts";
import { CliError, type ExitStatus, exitStatus, messageOf } from "../error.ts";
import { readInputs } from "../resources/input-files.ts";
import { borderless } from "../ui/table.ts";
import { summaryTable } from "./summary.ts";
import { svgOf } from "./svg.ts";
import { type Operation, operationsOf, readTrace } from "./trace.ts";
import { extentOf, waterfall } from "./waterfall.ts";

const positionals = { file: { type: "string", describe: "the file that TORTIE_TRACE named", required: true } } as const;

const options = {
  command: { type: "string", describe: "only operations of this command: ADD, CHECK, DEL, …" },
  container: { type: "string", describe: "only operations on this container ID" },
  min: { type: "number", default: 0.02, describe: "omit calls that took fewer milliseconds", minimum: 0 },
  output: { type: "string", alias: "o", choices: ["text", "svg"], default: "text", describe: "form of the output" },
} as const;

export const profileCommand = command({
  path: "profile",
  describe: "Show where the time of an operation went",
  long:
    "Reads a trace. Plugins append to the file that the environment variable TORTIE_TRACE names: how long each phase, file, netlink datagram, program " +
    "and request to the node agent took. Shows each operation as a table, in milliseconds, and its calls over time. A plugin that is killed writes nothing.",
  examples: [
    ["$0 profile /tmp/trace", "all operations in the file"],
    ["$0 profile /tmp/trace --command ADD --min 0", "every call of each ADD"],
    ["$0 profile /tmp/trace -o svg > trace.svg", "for a browser"],
  ],
  positionals,
  options,
  hides: ["config"],
  action: showProfile,
});

async function showProfile(cli: Cli, given: Accepted<typeof positionals, typeof options>): Promise<ExitStatus> {
  const [input] = await readInputs(cli, [given.file], { recursive: false, withNetworks: false });
  const operations = operationsIn(input?.text ?? "", input?.source ?? given.file).filter(
    ({ command, container }) =>
      command === (given.command?.toUpperCase() ?? command) && container === (given.container ?? container),
  );
  if (operations.length === 0) throw new CliError(`cannot profile ${given.file}: it contains no such operation`);
  cli.out(given.output === "svg" ? svgOf(operations) : operations.map((one) => textOf(one, given.min)).join("\n"));
  return exitStatus.done;
}

function operationsIn(text: string, source: string): readonly Operation[] {
  try {
    return operationsOf(readTrace(text));
  } catch (error) {
    throw new CliError(`cannot profile ${source}: ${messageOf(error)}`);
  }
}

function textOf(operation: Operation, minMs: number): string {
  const { command, container, ifname, processes } = operation;
  const { begin, end } = extentOf(operation);
  const cpu = processes.reduce((sum, process) => sum + process.cpu, 0);
  const wait = processes.reduce((sum, process) => sum + process.wait, 0);
  const ms = (nanoseconds: number) => (nanoseconds / 1e6).toFixed(2);
  const title = `${command} ${container} ${ifname}: ${ms(end - begin)} ms; ${ms(cpu)} ms on a CPU, ${ms(wait)} ms waiting for one\n`;
  return `${title}\n${borderless(summaryTable(operation))}${waterfall(operation, minMs * 1e6)}`;
}
