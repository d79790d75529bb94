/** Shell commands in messages: whether they can be pasted, and whether `tortie` accepts its own. */
import type { Cli } from "../../../src/cli/cli.ts";
import { exitStatus } from "../../../src/cli/error.ts";
import { runCommandLine } from "../../../src/cli/program.ts";

type Word = { readonly kind: "word"; readonly text: string } | { readonly kind: "operator"; readonly text: string };

/** Splits a line into words as a shell does, without expansions. Throws `Error` if a quote is not closed. */
function wordsOf(line: string): readonly Word[] {
  const words: Word[] = [];
  const pattern = /\s+|#.*$|\|\||&&|[;|&()<>]|(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"\\;|&()<>])+/gsy;
  while (pattern.lastIndex < line.length) {
    const at = pattern.lastIndex;
    const [text = ""] = pattern.exec(line) ?? [];
    if (text === "") throw new Error(`no shell reads ${JSON.stringify(line.slice(at))}`);
    if (/^\s/.test(text)) continue;
    // A comment starts only at the beginning of a word.
    if (text.startsWith("#")) break;
    const isOperator = /^[;|&()<>]/.test(text);
    words.push({ kind: isOperator ? "operator" : "word", text: isOperator ? text : unquoted(text) });
  }
  return words;
}

function unquoted(word: string): string {
  return word.replace(/'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)/gs, (_, single, double, escaped) => {
    return single ?? double?.replace(/\\(.)/gs, "$1") ?? escaped;
  });
}

/** The arguments of each call of `tortie` in a line. */
export function callsIn(line: string): readonly (readonly string[])[] {
  const calls: string[][] = [[]];
  for (const { kind, text } of wordsOf(line)) {
    if (kind === "operator") calls.push([]);
    else calls.at(-1)?.push(text);
  }
  return calls.filter(([first]) => first === "tortie").map(([, ...words]) => words);
}

class Understood extends Error {}

/** The program's error for a command line that it does not accept; `undefined` if it would start working. */
export async function faultOfWords(words: readonly string[]): Promise<string | undefined> {
  const notes: string[] = [];
  let isUnderstood = false;
  const status = await runCommandLine(words, {
    environment: {},
    out: () => undefined,
    note: (line) => void notes.push(line),
    isRoot: true,
    cli: (): Cli => {
      isUnderstood = true;
      throw new Understood();
    },
  });
  if (isUnderstood || status === exitStatus.done) return undefined;
  return notes.join("\n");
}

/** The reasons why a remedy cannot be pasted, line by line. */
export async function faultsOfRemedy(remedy: string): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const line of remedy.split("\n")) {
    for (const words of callsIn(line)) {
      const fault = await faultOfWords(words);
      if (fault !== undefined) faults.push(`${line}: ${fault}`);
    }
  }
  return faults;
}
