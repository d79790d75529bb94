/**
 * The definition of a command, as data: its words, its help, its options and their types.
 *
 * The parser, the checks of `accept.ts`, shell completion and the tests all read these definitions.
 */
import type { Cli } from "./cli.ts";
import type { ExitStatus } from "./error.ts";

export interface OptionDefinition {
  /** `strings` may be repeated. A boolean takes no value, `true` or `false`. */
  readonly type: "boolean" | "number" | "string" | "strings";
  /** One letter: `-o`. */
  readonly alias?: string;
  readonly choices?: readonly string[];
  /** Of a number. */
  readonly minimum?: number;
  readonly maximum?: number;
  readonly integer?: true;
  readonly default?: string | number | readonly string[];
  readonly defaultDescription?: string;
  readonly describe: string;
  /** The heading under which help lists it. */
  readonly group?: string;
  /** Options that cannot be combined with it. */
  readonly excludes?: readonly string[];
  /** What a shell completes its value from. */
  readonly completes?: "file" | "directory";
}

export interface PositionalDefinition extends Pick<OptionDefinition, "choices" | "minimum" | "maximum" | "integer"> {
  readonly type: "number" | "string" | "strings";
  readonly describe: string;
  readonly required?: true;
  readonly completes?: "kind" | "name" | "shell";
}

export type OptionDefinitions = Readonly<Record<string, OptionDefinition>>;
export type PositionalDefinitions = Readonly<Record<string, PositionalDefinition>>;

export interface CommandDefinition {
  /** Including its group: `ipam show`. */
  readonly path: string;
  /** One line. */
  readonly describe: string;
  /** Further paragraphs of the help text. */
  readonly long: string;
  /** A command line and its purpose. `$0` stands for the program. */
  readonly examples: readonly (readonly [string, string])[];
  /** In their order. */
  readonly positionals: PositionalDefinitions;
  readonly options: OptionDefinitions;
  /** Options of every command that this one does not offer. */
  readonly hides: readonly string[];
  /** A hint for surplus words; `undefined` if there is none. */
  readonly surplus: (words: readonly string[]) => string | undefined;
}

/** A command and its action, which gets the options from `accept.ts`. */
export interface Command extends CommandDefinition {
  readonly action: (cli: Cli, options: never) => ExitStatus | Promise<ExitStatus>;
}

/** The arguments of an action: `dry-run` is `dryRun`, and an absent option is `undefined`. */
export type Accepted<Positionals, Options> = ValuesOf<Positionals> & ValuesOf<Options>;

type ValuesOf<Definitions> = {
  readonly [Name in keyof Definitions & string as CamelCase<Name>]: ValueOf<Definitions[Name]>;
};

type ValueOf<Definition> = Definition extends { readonly type: "strings" }
  ? readonly string[]
  : Definition extends { readonly default: unknown } | { readonly required: true }
    ? Single<Definition>
    : Single<Definition> | undefined;

type Single<Definition> = Definition extends { readonly choices: readonly (infer Choice)[] }
  ? Choice
  : Definition extends { readonly type: "boolean" }
    ? boolean
    : Definition extends { readonly type: "number" }
      ? number
      : string;

type CamelCase<Text extends string> = Text extends `${infer First}-${infer Rest}`
  ? `${First}${Capitalize<CamelCase<Rest>>}`
  : Text;

type Optional = "positionals" | "options" | "hides" | "surplus";

/** Infers the types of a definition and fills in defaults. */
export function command<const P extends PositionalDefinitions, const O extends OptionDefinitions>(
  parts: Omit<CommandDefinition, Optional> & {
    readonly positionals?: P;
    readonly options?: O;
    readonly hides?: readonly string[];
    readonly surplus?: CommandDefinition["surplus"];
    readonly action: (cli: Cli, options: Accepted<P, O>) => ExitStatus | Promise<ExitStatus>;
  },
): Command {
  return { positionals: {}, options: {}, hides: [], surplus: () => undefined, ...parts };
}

export function camelCase(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** For every command that writes. */
export const dryRun = { type: "boolean", describe: "print what the command would do, without doing it" } as const;
