/** A command with its help: what it does in a line, what there is to know, and examples. */
import type { Argv, CommandModule } from "yargs";
import type { Action, Run } from "./program.ts";

export interface CommandParts<Options> {
  /** With the names of the groups that it is in: `ipam show`. Positional arguments follow the name: `get <kind> [names..]`. */
  readonly path: string;
  readonly describe: string;
  readonly long: string;
  /** A command line, and what it is for. */
  readonly examples: readonly (readonly [string, string])[];
  readonly options: (yargs: Argv) => Argv<Options>;
  readonly action: Action<Options>;
}

const textWidth = 74;

export function command<Options>(run: Run, parts: CommandParts<Options>): CommandModule {
  const { path, describe, long, examples, options, action } = parts;
  return {
    command: path.replace(/^ipam /, ""),
    describe,
    builder: (yargs) =>
      options(yargs)
        .usage(`$0 ${path} [options]\n\n${wrapped(`${describe}. ${long}`)}`)
        .example(examples.map(([line, meaning]) => [line, meaning] as [string, string])) as Argv,
    handler: run(action) as (options: unknown) => Promise<void>,
  };
}

export function group(name: string, describe: string, commands: readonly CommandModule[]): CommandModule {
  return {
    command: name,
    describe,
    builder: (yargs) => {
      for (const command of commands) yargs.command(command);
      return yargs
        .usage(`$0 ${name} <command>\n\n${describe}.`)
        .demandCommand(1, `cannot run ${name}: no command; see "tortie ${name} --help"`);
    },
    handler: () => undefined,
  };
}

/** yargs breaks a usage text in the middle of a word. */
function wrapped(text: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + word.length >= textWidth) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line].join("\n");
}
