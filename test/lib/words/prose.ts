/**
 * Finds the prose in TypeScript: comments, and strings and templates that are sentences or parts of them.
 *
 * A scanner of a hundred lines, not a parser: it knows comments, the three kinds of quotes, templates with code inside, and regular expressions.
 */

export interface Prose {
  readonly kind: "comment" | "text";
  readonly line: number;
  /** Of a template without its code, each piece of which is `…`. */
  readonly text: string;
}

/** All comments, and all texts that contain a space between words. */
export function proseOf(source: string): readonly Prose[] {
  return new Scanner(source)
    .scan()
    .filter(({ kind, text }) => kind === "comment" || /[A-Za-z…"')] [A-Za-z…"']/.test(text));
}

class Scanner {
  readonly #source: string;
  #at = 0;
  #line = 1;
  #found: Prose[] = [];
  /** The last token that is neither space nor comment, to tell a regular expression from a division. */
  #before = "";

  constructor(source: string) {
    this.#source = source;
  }

  scan(): readonly Prose[] {
    while (this.#at < this.#source.length) this.#code();
    return this.#found;
  }

  /** One token of code. */
  #code(): void {
    const rest = this.#source.slice(this.#at, this.#at + 2);
    if (rest === "//") this.#comment(/\/\/[^\n]*/y);
    else if (rest === "/*") this.#comment(/\/\*[\s\S]*?\*\//y);
    else if (rest.startsWith('"') || rest.startsWith("'")) this.#quoted();
    else if (rest.startsWith("`")) this.#template();
    else if (rest.startsWith("/") && this.#startsRegex()) this.#skip(/\/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\[\n])+\/\w*/y);
    else this.#skip(/\s+|[\w$]+|[\s\S]/y);
  }

  #startsRegex(): boolean {
    return this.#before === "" || /^(?:[(,=:[!&|?{};>+]|return|typeof|case)$/.test(this.#before);
  }

  #comment(pattern: RegExp): void {
    const line = this.#line;
    const text = this.#take(pattern)
      .replace(/^\/\*+|\*+\/$/g, "")
      .replace(/^\s*(?:\/\/|\* ?)/gm, "");
    this.#found.push({ kind: "comment", line, text: text.trim() });
  }

  #quoted(): void {
    const line = this.#line;
    const text = this.#take(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'/y).slice(1, -1);
    this.#found.push({ kind: "text", line, text: unescaped(text) });
    this.#before = '"';
  }

  #template(): void {
    const line = this.#line;
    let text = "";
    this.#take(/`/y);
    for (;;) {
      text += this.#take(/(?:\\.|\$(?!\{)|[^`\\$])*/y);
      if (this.#source[this.#at] !== "$") break;
      text += "…";
      this.#inner();
    }
    this.#take(/`/y);
    this.#found.push({ kind: "text", line, text: unescaped(text) });
    this.#before = "`";
  }

  /** The code between `${` and `}`. */
  #inner(): void {
    this.#take(/\$\{/y);
    this.#before = "{";
    for (let depth = 1; this.#at < this.#source.length; ) {
      const character = this.#source[this.#at];
      if (character === "{") depth++;
      if (character === "}") depth--;
      if (depth === 0) break;
      this.#code();
    }
    this.#take(/\}/y);
  }

  #skip(pattern: RegExp): void {
    const token = this.#take(pattern);
    if (token.trim() !== "") this.#before = token;
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const [token = ""] = pattern.exec(this.#source) ?? [];
    // A template's empty piece takes nothing; any other token that does not match is skipped, so that the scan ends.
    this.#at += token.length;
    this.#line += token.split("\n").length - 1;
    return token;
  }
}

function unescaped(text: string): string {
  return text.replace(/\\n/g, "\n").replace(/\\(["'`\\$])/g, "$1");
}
