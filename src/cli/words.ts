/** The words of a command line in the spellings that the parser understands. */
import { commands, groups } from "./commands.ts";

/** Spellings of `--help` and of `version` that people try; nothing at all is `--help`. */
export function normaliseArguments(argv: readonly string[]): readonly string[] {
  const [first, ...rest] = argv;
  if (first === undefined) return ["--help"];
  if (first === "help") return [...rest, "--help"];
  if (first === "-v" || first === "-V" || first === "--version") return ["version", ...rest];
  if (rest.length === 0 && first in groups) return [first, "--help"];
  const end = argv.indexOf("--");
  const before = end < 0 ? argv : argv.slice(0, end);
  return [...withDashes(before.map(withValue)), ...argv.slice(before.length)];
}

/** `-ojson` is `-o=json`: a letter means the same in every command that has it. */
function withValue(word: string): string {
  const [, letter = "", value = ""] = /^-([a-zA-Z])([^=].*)$/.exec(word) ?? [];
  return valueLetters().has(letter) ? `-${letter}=${value}` : word;
}

/** `-f -` is `-f=-`: the parser takes a dash for an option. */
function withDashes(words: readonly string[]): readonly string[] {
  const takesDash = (index: number) => words[index + 1] === "-" && /^--?[a-zA-Z][^=]*$/.test(words[index] ?? "");
  return words.flatMap((word, index) => {
    if (takesDash(index)) return [`${word}=-`];
    return takesDash(index - 1) ? [] : [word];
  });
}

function valueLetters(): ReadonlySet<string> {
  const options = commands.flatMap((command) => Object.values(command.options));
  return new Set(options.flatMap(({ alias, type }) => (alias === undefined || type === "boolean" ? [] : [alias])));
}
