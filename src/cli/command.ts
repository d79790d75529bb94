/** A command's definition in the form that yargs takes, with its help. */
import wrapAnsi from "wrap-ansi";
import type { Argv, CommandModule, Options } from "yargs";
import type { Command, OptionDefinition, PositionalDefinition } from "./definition.ts";

/** The result of yargs. */
export type Parsed = Readonly<Record<string, unknown>>;

const textWidth = 74;

/** Calls `run` with the result of yargs when the command line names the command. */
export function commandModule(command: Command, run: (parsed: Parsed) => Promise<void>): CommandModule {
  const { path, describe, long, examples, positionals, options, hides } = command;
  const name = path.split(" ").at(-1) ?? path;
  const words = Object.entries(positionals);
  return {
    // All are optional to yargs, because `accept` reports missing ones.
    command: [name, ...words.map(([word, { type }]) => (type === "strings" ? `[${word}..]` : `[${word}]`))].join(" "),
    describe,
    builder: (yargs) => {
      for (const [word, positional] of words) {
        yargs.positional(word, { type: "string", array: positional.type === "strings", ...helpOf(positional) });
      }
      for (const option of hides) yargs.hide(option);
      const usage = ["$0", path, ...words.map(([word, positional]) => shownWord(word, positional)), "[options]"];
      return yargs
        .options(yargsOptions(options))
        .usage(`${usage.join(" ")}\n\n${wrapAnsi(`${describe}. ${long}`, textWidth)}`)
        .example(examples.map(([line, meaning]) => [line, meaning] as [string, string]));
    },
    handler: (parsed) => run(parsed),
  };
}

export function groupModule(name: string, describe: string, commands: readonly CommandModule[]): CommandModule {
  return {
    command: name,
    describe,
    builder: (yargs) => {
      for (const command of commands) yargs.command(command);
      return yargs.usage(`$0 ${name} <command>\n\n${describe}.`) as Argv;
    },
    handler: () => undefined,
  };
}

/** Numbers stay text until `accept` checks them. */
export function yargsOptions(options: Readonly<Record<string, OptionDefinition>>): Record<string, Options> {
  return Object.fromEntries(Object.entries(options).map(([name, option]) => [name, yargsOption(option)]));
}

function yargsOption(option: OptionDefinition): Options {
  const { type, alias, default: initial, group } = option;
  const defaultDescription = option.defaultDescription ?? (initial === undefined ? undefined : shown(initial));
  return {
    type: type === "boolean" ? "boolean" : "string",
    ...(alias !== undefined && { alias }),
    // Not the default itself: yargs would use it for an option without its value.
    ...(defaultDescription !== undefined && { defaultDescription }),
    ...(group !== undefined && { group }),
    ...helpOf(option),
  };
}

/** Choices go into the help text, not to yargs, because `accept` refuses other values. */
function helpOf({ describe, choices }: Pick<OptionDefinition, "describe" | "choices">): { readonly describe: string } {
  return { describe: choices === undefined ? describe : `${describe}: ${choices.join(", ")}` };
}

function shownWord(name: string, { type, required }: PositionalDefinition): string {
  const word = type === "strings" ? `${name}..` : name;
  return required === true ? `<${word}>` : `[${word}]`;
}

function shown(value: NonNullable<OptionDefinition["default"]>): string {
  return Array.isArray(value) ? value.join(", ") : `${value}`;
}
