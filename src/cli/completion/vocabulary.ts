/** The words that can be completed, from the commands' definitions. */
import type { Command, OptionDefinition, PositionalDefinition } from "../definition.ts";
import { generalOptions } from "../general-options.ts";
import { resourceKinds } from "../resources/kinds.ts";

export interface Vocabulary {
  readonly commands: readonly CommandWords[];
  /** By the first word of commands that have two. */
  readonly groups: Readonly<Record<string, string>>;
  readonly kinds: readonly string[];
}

export interface CommandWords {
  readonly path: string;
  readonly describe: string;
  readonly options: readonly OptionWords[];
  readonly positionals: readonly PositionalDefinition[];
}

export interface OptionWords extends Pick<OptionDefinition, "alias" | "choices" | "completes" | "describe"> {
  readonly name: string;
  /** Whether a value follows. */
  readonly takesValue: boolean;
}

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

export function vocabularyOf(commands: readonly Command[], groups: Readonly<Record<string, string>>): Vocabulary {
  return {
    commands: commands.map(({ path, describe, options, positionals, hides }) => {
      const general = Object.entries(generalOptions({})).filter(([name]) => !hides.includes(name));
      const help: OptionWords = { name: "help", alias: "h", describe: "show help", takesValue: false };
      const all = [...Object.entries(options), ...general].map(([name, option]) => optionWords(name, option));
      return { path, describe, options: [...all, help], positionals: Object.values(positionals) };
    }),
    groups,
    kinds: resourceKinds.map((kind) => kind.toLowerCase()),
  };
}

/** The spellings of an option. */
export function spellings({ name, alias }: OptionWords): readonly string[] {
  return [...(alias === undefined ? [] : [`-${alias}`]), `--${name}`];
}

/** First words, or the second words of a group. */
export function wordsAfter({ commands }: Vocabulary, group: string): readonly (readonly [string, string])[] {
  const members = commands.filter(({ path }) => path.startsWith(`${group} `));
  return members.map(({ path, describe }) => [path.slice(group.length + 1), describe]);
}

export function firstWords({ commands, groups }: Vocabulary): readonly (readonly [string, string])[] {
  const alone = commands.filter(({ path }) => !path.includes(" "));
  return [...alone.map(({ path, describe }) => [path, describe] as const), ...Object.entries(groups)];
}

function optionWords(name: string, { type, alias, choices, completes, describe }: OptionDefinition): OptionWords {
  return {
    name,
    describe,
    takesValue: type !== "boolean",
    ...(alias !== undefined && { alias }),
    ...(choices !== undefined && { choices }),
    ...(completes !== undefined && { completes }),
  };
}
