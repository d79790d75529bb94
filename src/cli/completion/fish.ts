/** The script for fish. */
import { type CommandWords, firstWords, type OptionWords, shells, type Vocabulary, wordsAfter } from "./vocabulary.ts";

export function fishScript(vocabulary: Vocabulary): string {
  const { commands, groups, kinds } = vocabulary;
  const first = firstWords(vocabulary);
  const none = `not __fish_seen_subcommand_from ${first.map(([word]) => word).join(" ")}`;
  const lines = [
    "# Completion of tortie in fish: tortie completion fish | source",
    "complete -c tortie -f",
    ...first.map(([word, describe]) => complete(none, `-a ${word}`, describe)),
    ...Object.keys(groups).flatMap((group) => groupLines(group, wordsAfter(vocabulary, group))),
    ...commands.flatMap((command) => [
      ...command.options.map((option) => optionLine(command.path, option)),
      ...positionalLines(command, kinds),
    ]),
  ];
  return `${lines.join("\n")}\n`;
}

function groupLines(group: string, words: readonly (readonly [string, string])[]): readonly string[] {
  const all = words.map(([word]) => word).join(" ");
  const condition = `__fish_seen_subcommand_from ${group}; and not __fish_seen_subcommand_from ${all}`;
  return words.map(([word, describe]) => complete(condition, `-a ${word}`, describe));
}

function optionLine(path: string, { name, alias, choices, completes, takesValue, describe }: OptionWords): string {
  const short = alias === undefined ? "" : ` -s ${alias}`;
  const values = {
    choices: () => ` -x -a "${choices?.join(" ")}"`,
    file: () => " -r -F",
    directory: () => ' -x -a "(__fish_complete_directories)"',
    text: () => " -x",
  };
  const value = takesValue ? values[choices === undefined ? (completes ?? "text") : "choices"]() : "";
  return complete(seen(path), `-l ${name}${short}${value}`, describe);
}

function positionalLines({ path, positionals }: CommandWords, kinds: readonly string[]): readonly string[] {
  return positionals.flatMap(({ completes, describe }) => {
    if (completes === "shell") return [complete(seen(path), `-a "${shells.join(" ")}"`, describe)];
    const words = "count (commandline -opc | string match -v -- '-*')";
    const isFirst = `test (${words}) -eq ${path.split(" ").length + 1}`;
    if (completes === "kind") return [complete(`${seen(path)}; and ${isFirst}`, `-a "${kinds.join(" ")}"`, "")];
    if (completes !== "name") return [];
    const kind = "(commandline -opc | string match -v -- '-*')[3]";
    const names = `(tortie get ${kind} -o name 2>/dev/null | string replace -r '^[^/]*/' '')`;
    return [complete(`${seen(path)}; and not ${isFirst}`, `-a "${names}"`, "")];
  });
}

function seen(path: string): string {
  return path
    .split(" ")
    .map((word) => `__fish_seen_subcommand_from ${word}`)
    .join("; and ");
}

function complete(condition: string, rest: string, describe: string): string {
  const text = describe === "" ? "" : ` -d '${describe.replace(/['\\]/g, "\\$&")}'`;
  return `complete -c tortie -n "${condition.replaceAll('"', '\\"')}" ${rest}${text}`;
}
