/** `tortie-node`: the node agent, on Node. */
import pino from "pino";
import { CoreError } from "../errors/core-error.ts";
import { nodeSys } from "../host/node/node.ts";
import { commit, version } from "../plugin/build-info.ts";
import { runAgent } from "./agent.ts";
import { parseCommandLine, UsageError } from "./command-line.ts";
import { keepHeapSmall } from "./heap.ts";
import { InvalidSettings, readAgentSettings } from "./settings/read.ts";

const exit = { done: 0, failed: 1, usage: 2 } as const;

keepHeapSmall();

// Not awaited here: the bundle is not a module (scripts/build/node-bundle.ts).
run().then(
  (status) => {
    process.exitCode = status;
  },
  (error) => {
    process.exitCode = report(error);
  },
);

async function run(): Promise<number> {
  const line = await parseCommandLine(process.argv.slice(2), process.env, `${version} (${commit})`);
  if ("text" in line) {
    nodeSys.write("stdout", line.text);
    return exit.done;
  }
  const { settings, unused } = readAgentSettings(line.environment);
  const log = pino({ level: settings.logLevel }, pino.destination({ dest: 1, sync: true }));
  for (const sentence of unused) log.warn(sentence);
  const ending = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => ending.abort());
  log.info({ version, commit }, "starting");
  await runAgent(settings, { sys: nodeSys, log, signal: ending.signal });
  return exit.done;
}

/** Prints the stack of a bug. */
function report(error: unknown): number {
  const isUsage = error instanceof UsageError || error instanceof InvalidSettings;
  const isKnown = isUsage || error instanceof CoreError || (error instanceof Error && "code" in error);
  const text = isKnown ? (error as Error).message : String((error as Error)?.stack ?? error);
  for (const sentence of text.split("\n")) nodeSys.write("stderr", `tortie-node: ${sentence}\n`);
  return isUsage ? exit.usage : exit.failed;
}
