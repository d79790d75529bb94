/** The command line: options that every command has, the commands, and how each ends. */
import yargs, { type Argv } from "yargs";
import type { Cli } from "./cli.ts";
import { doctorCommand } from "./doctor-command.ts";
import { CliError, type ExitStatus, exitStatus, messageOf } from "./error.ts";
import { ipamCommand } from "./ipam-commands.ts";
import { defaultFolders, type StoreFolders } from "./redirected-sys.ts";
import { resourceCommands } from "./resource-commands.ts";
import { versionCommand } from "./version.ts";

/** What the options that every command has come to. */
export interface GlobalOptions {
  readonly folders: StoreFolders;
  /** `undefined`: as the plugins tell it. */
  readonly node: string | undefined;
  readonly logLevel: string;
}

export interface Host {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly out: (text: string) => void;
  readonly note: (line: string) => void;
  readonly cli: (options: GlobalOptions) => Cli;
}

/** What a command does with its options. */
export type Action<Options> = (cli: Cli, options: Options) => ExitStatus | Promise<ExitStatus>;

/** Makes an action into what yargs calls with the options that it parsed. */
export type Run = <Options>(action: Action<Options>) => (options: Options) => Promise<void>;

const logLevels = ["debug", "info", "warn", "error", "silent"] as const;

/** Runs one command line to its end. Never throws. */
export async function runCommandLine(argv: readonly string[], host: Host): Promise<ExitStatus> {
  let status: ExitStatus = exitStatus.done;
  const run: Run = (action) => async (options) => {
    status = await action(host.cli(globalOptions(options as GlobalArguments)), options);
  };
  try {
    await program(host, run).parseAsync([...argv], {}, (_error, _argv, output) => {
      if (output !== "") host.out(`${output.trimEnd()}\n`);
    });
    return status;
  } catch (error) {
    return report(error, host);
  }
}

function program({ environment }: Host, run: Run): Argv {
  const parser = yargs([])
    .scriptName("tortie")
    .usage("$0 <command>\n\nShows and mends what the plugins keep on this node.")
    .option("run-dir", {
      type: "string",
      group: "Node:",
      default: environment.TORTIE_RUN_DIR ?? defaultFolders.run,
      describe: "allocations and endpoints (TORTIE_RUN_DIR)",
    })
    .option("state-dir", {
      type: "string",
      group: "Node:",
      default: environment.TORTIE_STATE_DIR ?? defaultFolders.state,
      describe: "pools and settings (TORTIE_STATE_DIR)",
    })
    .option("node", {
      type: "string",
      group: "Node:",
      default: environment.TORTIE_NODENAME,
      defaultDescription: "as the plugins tell it",
      describe: "this node's name (TORTIE_NODENAME)",
    })
    .option("log-level", { choices: logLevels, default: "warn", describe: "log to stderr" })
    .command(doctorCommand(run))
    .command(ipamCommand(run));
  for (const command of resourceCommands(run)) parser.command(command);
  return parser
    .command(versionCommand(run))
    .completion("completion", "Print a completion script for the shell: source <(tortie completion)")
    .version(false)
    .demandCommand(1, 'cannot run: no command; see "tortie --help"')
    .strict()
    .fail((message, error) => {
      throw error ?? new CliError(usageMessage(message), exitStatus.usage);
    })
    .exitProcess(false)
    .help()
    .wrap(null);
}

interface GlobalArguments {
  readonly runDir: string;
  readonly stateDir: string;
  readonly node?: string;
  readonly logLevel: string;
}

function globalOptions({ runDir, stateDir, node, logLevel }: GlobalArguments): GlobalOptions {
  const folder = (path: string) => path.replace(/(?<=.)\/+$/, "");
  return { folders: { run: folder(runDir), state: folder(stateDir) }, node: node || undefined, logLevel };
}

function report(error: unknown, { note }: Host): ExitStatus {
  // The reader of our output has gone: `tortie … | head`.
  if (error instanceof Error && "code" in error && error.code === "EPIPE") return exitStatus.done;
  if (error instanceof CliError) {
    note(`tortie: ${error.message}`);
    return error.status;
  }
  if (error instanceof Error && error.name === "YError") {
    note(`tortie: ${usageMessage(error.message)}`);
    return exitStatus.usage;
  }
  note(`tortie: ${messageOf(error)}`);
  return exitStatus.failed;
}

/** yargs' sentences in our form. */
function usageMessage(message: string): string {
  if (message.startsWith("cannot ")) return message;
  const text = message.trim().replace(/\s*\n\s*/g, " ");
  return `cannot run: ${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}
