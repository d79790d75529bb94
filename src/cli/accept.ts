/**
 * Checks a parsed command line against the command's definition and converts it to typed options.
 *
 * **Nothing is guessed.** To yargs every value of a boolean but `true` is `false`, so `--dry-run=client` would write; an invalid number is
 * `NaN`, and a repeated option is a list. Here each of these is a usage error before the command does anything.
 */
import {
  type CommandDefinition,
  camelCase,
  type OptionDefinition,
  type OptionDefinitions,
  type PositionalDefinition,
} from "./definition.ts";
import { CliError, exitStatus } from "./error.ts";
import { didYouMean } from "./suggest.ts";

export interface CommandLine {
  /** The words as the shell gave them. */
  readonly words: readonly string[];
  /** The result of yargs: options by name, and under `_` the command's words and surplus arguments. */
  readonly parsed: Readonly<Record<string, unknown>>;
}

type Refuse = (reason: string) => CliError;
type Limits = Pick<OptionDefinition, "choices" | "minimum" | "maximum" | "integer">;

/** Options and positional arguments by their names in camel case. Throws `CliError` 2 naming the invalid and the expected value. */
export function accept(
  definition: CommandDefinition,
  general: OptionDefinitions,
  line: CommandLine,
): Readonly<Record<string, unknown>> {
  const refuse: Refuse = (reason) => new CliError(`cannot run ${definition.path}: ${reason}`, exitStatus.usage);
  const options = { ...general, ...definition.options };
  refuseUnknown(definition, options, line, refuse);
  const accepted: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(options)) {
    accepted[camelCase(name)] = optionOf(name, option, line, refuse);
  }
  for (const [name, positional] of Object.entries(definition.positionals)) {
    accepted[name] = argumentOf(name, positional, line.parsed[name], refuse);
  }
  refuseExcluded(definition.options, accepted, refuse);
  return accepted;
}

function refuseUnknown(
  { path, positionals, surplus, hides }: CommandDefinition,
  options: OptionDefinitions,
  { words, parsed }: CommandLine,
  refuse: Refuse,
): void {
  const known = new Set(["_", "$0", "help", "h", ...Object.keys(positionals)]);
  for (const [name, { alias }] of Object.entries(options)) known.add(name).add(alias ?? name);
  for (const name of Object.keys(parsed)) {
    if (known.has(name)) continue;
    const spelt = words.map((word) => word.replace(/=.*$/s, ""));
    const written = spelt.find((word) => word.replace(/^--?/, "") === name || word === `--no-${name}`) ?? dashed(name);
    const negations = Object.entries(options).flatMap(([one, { type }]) => (type === "boolean" ? [`--no-${one}`] : []));
    const offered = Object.keys(options).filter((one) => !hides.includes(one));
    const near = didYouMean(written, [...offered, "help"].map(dashed).concat(negations));
    throw refuse(`unknown option ${written}${near}; see "tortie ${path} --help"`);
  }
  const extra = (parsed._ as readonly unknown[]).map(String).slice(path.split(" ").length);
  if (extra.length === 0) return;
  throw refuse(surplus(extra) ?? `${quoted(extra)} ${extra.length === 1 ? "is a word" : "are words"} too many`);
}

function optionOf(name: string, option: OptionDefinition, { words, parsed }: CommandLine, refuse: Refuse): unknown {
  const found = parsed[name];
  if (option.type === "boolean") return booleanOf(name, option, words, found, refuse);
  if (found === undefined) return option.default ?? (option.type === "strings" ? [] : undefined);
  const texts = (Array.isArray(found) ? found : [found]).map(String);
  if (texts.includes("")) throw refuse(`${dashed(name)} takes ${wanted(option)}, but none was given`);
  if (option.type === "strings") return texts;
  if (new Set(texts).size > 1) throw refuse(`${dashed(name)} was given more than once: ${quoted(texts)}`);
  return single(dashed(name), option, texts[0] ?? "", refuse);
}

/** Reads the words themselves, because the parser turns any value into `true` or `false`. */
function booleanOf(
  name: string,
  { alias }: OptionDefinition,
  words: readonly string[],
  found: unknown,
  refuse: Refuse,
): unknown {
  const spellings = [dashed(name), ...(alias === undefined ? [] : [`-${alias}`])];
  const before = optionsIn(words);
  const given = new Set<boolean>();
  for (const [index, word] of before.entries()) {
    const [spelling = "", inline] = splitOnce(word, "=");
    if (word === `--no-${name}`) given.add(false);
    if (!spellings.includes(spelling)) continue;
    const value = inline ?? before[index + 1]?.match(/^(true|false)$/)?.[0] ?? "true";
    if (value !== "true" && value !== "false") {
      throw refuse(`${spelling} must be true or false, not "${value}"; ${spelling} alone means true`);
    }
    given.add(value === "true");
  }
  if (given.size > 1) throw refuse(`${dashed(name)} was given as true and as false`);
  return given.size === 0 ? found : given.has(true);
}

/** The words before `--`. */
function optionsIn(words: readonly string[]): readonly string[] {
  const end = words.indexOf("--");
  return end < 0 ? words : words.slice(0, end);
}

function argumentOf(name: string, positional: PositionalDefinition, found: unknown, refuse: Refuse): unknown {
  const texts = (Array.isArray(found) ? found : found === undefined ? [] : [found]).map(String);
  if (texts.includes("")) throw refuse(`<${name}> must not be empty`);
  if (positional.type === "strings") return texts;
  const [text] = texts;
  if (text === undefined && positional.required !== true) return undefined;
  if (text === undefined) throw refuse(`<${name}> is missing: ${positional.describe}`);
  return single(`<${name}>`, positional, text, refuse);
}

function single(
  shown: string,
  definition: Limits & { readonly type: string },
  text: string,
  refuse: Refuse,
): string | number {
  const { choices, type } = definition;
  if (type === "number") return numberOf(shown, definition, text, refuse);
  if (choices !== undefined && !choices.includes(text)) {
    throw refuse(`${shown} takes ${wanted(definition)}, not "${text}"${didYouMean(text, choices)}`);
  }
  return text;
}

/** Accepts decimal digits only; `Number` would accept `0x10`, `1e9` and a space as well. */
function numberOf(shown: string, definition: Limits & { readonly type: string }, text: string, refuse: Refuse): number {
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY, integer } = definition;
  const number = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  const fits = number >= minimum && number <= maximum && (integer !== true || Number.isSafeInteger(number));
  if (!fits) throw refuse(`${shown} takes ${wanted(definition)}, not "${text}"`);
  return number;
}

function wanted({ type, choices, minimum, maximum, integer }: Limits & { readonly type: string }): string {
  if (choices !== undefined) return `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`;
  if (type !== "number") return "a value";
  const kind = integer === true ? "a whole number" : "a number";
  if (minimum !== undefined && maximum !== undefined) return `${kind} from ${minimum} to ${maximum}`;
  return minimum === undefined ? kind : `${kind}, ${minimum} or more`;
}

function refuseExcluded(options: OptionDefinitions, accepted: Readonly<Record<string, unknown>>, refuse: Refuse): void {
  const isGiven = (name: string) => ![undefined, false].includes(accepted[camelCase(name)] as undefined);
  for (const [name, { excludes = [] }] of Object.entries(options)) {
    const other = isGiven(name) ? excludes.find(isGiven) : undefined;
    if (other !== undefined) throw refuse(`${dashed(name)} and ${dashed(other)} cannot be combined`);
  }
}

function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

function quoted(words: readonly string[]): string {
  return words.map((word) => JSON.stringify(word)).join(", ");
}

function splitOnce(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
