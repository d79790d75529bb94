/** Parses and runs a command line. */
import yargs, { type Argv } from "yargs";
import { accept } from "./accept.ts";
import type { Cli } from "./cli.ts";
import { commandModule, groupModule, type Parsed, yargsOptions } from "./command.ts";
import { commands, groups } from "./commands.ts";
import type { Command, OptionDefinitions } from "./definition.ts";
import { CliError, type ExitStatus, exitStatus, isDenied, messageOf } from "./error.ts";
import { generalOptions } from "./general-options.ts";
import { defaultDirectories, type StoreDirectories } from "./node/redirected-sys.ts";
import { didYouMean } from "./suggest.ts";
import { normaliseArguments } from "./words.ts";

/** The values of the options that every command has. */
export interface GlobalOptions {
  /** calicoctl's configuration file; `undefined` for a command that is about this node only. */
  readonly config: string | undefined;
  readonly directories: StoreDirectories;
  /** `undefined`: as the plugins determine it. */
  readonly node: string | undefined;
  readonly logLevel: string;
}

export interface Host {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly out: (text: string) => void;
  readonly note: (line: string) => void;
  /** Whether the process runs as root; otherwise errors suggest sudo. */
  readonly isRoot: boolean;
  readonly cli: (options: GlobalOptions) => Cli;
}

/** Runs one command line to its end. Never throws. */
export async function runCommandLine(argv: readonly string[], host: Host): Promise<ExitStatus> {
  const words = normaliseArguments(argv);
  const general = generalOptions(host.environment);
  let status: ExitStatus | undefined;
  const run = (command: Command) => async (parsed: Parsed) => {
    const options = accept(command, general, { words, parsed });
    const global = globalOptions(options as unknown as GlobalArguments);
    const cli = host.cli(command.hides.includes("config") ? { ...global, config: undefined } : global);
    if (!command.hides.includes("run-dir"))
      refuseMissingDirectories(cli, command, options as unknown as GlobalArguments);
    try {
      status = await command.action(cli, options as never);
    } finally {
      await cli.cluster?.close();
    }
  };
  try {
    const parsed = await program(general, run).parseAsync([...words], {}, (_error, _argv, output) => {
      if (output === "") return;
      status = exitStatus.done;
      host.out(`${output.trimEnd()}\n`);
    });
    return status ?? refuseWords(parsed._.map(String), words, general);
  } catch (error) {
    return report(error, host);
  }
}

/** The words do not name a command. */
function refuseWords(words: readonly string[], written: readonly string[], general: OptionDefinitions): never {
  const [first = "", second] = words;
  const inGroup = first in groups;
  const known = commands.map(({ path }) => path).filter((path) => !inGroup || path.startsWith(`${first} `));
  const wanted = inGroup && second !== undefined ? `${first} ${second}` : first;
  if (wanted === "") refuseOption(written, general);
  if (wanted === "" || (inGroup && second === undefined)) {
    const place = inGroup ? ` ${first}` : "";
    throw new CliError(`cannot run${place}: no command; see "tortie${place} --help"`, exitStatus.usage);
  }
  const near = didYouMean(wanted, [...known, ...(inGroup ? [] : Object.keys(groups))]);
  const help = inGroup ? `tortie ${first} --help` : "tortie --help";
  throw new CliError(`cannot run "${wanted}": unknown command${near}; see "${help}"`, exitStatus.usage);
}

/** `tortie --verison`: there is no command to check the option. */
function refuseOption(written: readonly string[], general: OptionDefinitions): void {
  const known = [...Object.keys(general), "help", "version"].map((name) => `--${name}`);
  const option = written.find((word) => word.startsWith("-"))?.replace(/=.*$/s, "");
  if (option === undefined || known.includes(option)) return;
  const near = didYouMean(option, known);
  throw new CliError(`cannot run: unknown option ${option}${near}; see "tortie --help"`, exitStatus.usage);
}

function program(general: OptionDefinitions, run: (command: Command) => (parsed: Parsed) => Promise<void>): Argv {
  const parser = yargs([])
    .scriptName("tortie")
    .usage("$0 <command>\n\nShows and repairs what the plugins store on this node or in a cluster's datastore.")
    // One spelling per option; `accept` checks the words.
    .parserConfiguration({
      "camel-case-expansion": false,
      "dot-notation": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "short-option-groups": false,
    })
    .options(yargsOptions(general));
  const added = new Set<string>();
  for (const command of commands) {
    const [group = ""] = command.path.split(" ");
    const describe = groups[group];
    if (describe === undefined) parser.command(commandModule(command, run(command)));
    else if (!added.has(group)) {
      const members = commands.filter(({ path }) => path.startsWith(`${group} `));
      const modules = members.map((member) => commandModule(member, run(member)));
      parser.command(groupModule(group, describe, modules));
      added.add(group);
    }
  }
  return parser
    .version(false)
    .fail((message, error) => {
      throw error ?? new CliError(`cannot run: ${message}`, exitStatus.usage);
    })
    .exitProcess(false)
    .help()
    .alias("help", "h")
    .wrap(null);
}

interface GlobalArguments {
  readonly config: string;
  readonly runDir: string;
  readonly stateDir: string;
  readonly node?: string;
  readonly logLevel: string;
}

function globalOptions({ config, runDir, stateDir, node, logLevel }: GlobalArguments): GlobalOptions {
  const directory = (path: string) => path.replace(/(?<=.)\/+$/, "");
  return { config, directories: { run: directory(runDir), state: directory(stateDir) }, node, logLevel };
}

/** An explicitly named directory must exist. The default ones are created with the first pod. */
function refuseMissingDirectories({ sys }: Cli, { path }: Command, { runDir, stateDir }: GlobalArguments): void {
  const named = [
    ["--run-dir", runDir, defaultDirectories.run],
    ["--state-dir", stateDir, defaultDirectories.state],
  ] as const;
  for (const [option, directory, usual] of named) {
    // Commands see the directory at the default path.
    if (directory === usual || sys.stat(usual)?.kind === "directory") continue;
    throw new CliError(`cannot run ${path}: ${option} is "${directory}", which does not exist`, exitStatus.usage);
  }
}

function report(error: unknown, { note, isRoot }: Host): ExitStatus {
  // The reader of stdout has exited: `tortie … | head`.
  if (error instanceof Error && "code" in error && error.code === "EPIPE") return exitStatus.done;
  const message = messageOf(error);
  note(`tortie: ${message}${isDenied(error) && !isRoot ? "; run it as root" : ""}`);
  return error instanceof CliError ? error.status : exitStatus.failed;
}
