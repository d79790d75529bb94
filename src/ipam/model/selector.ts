/**
 * Calico's selectors: conditions on the labels of a node or a namespace.
 *
 *     or        and ("||" and)*
 *     and       not ("&&" not)*
 *     not       "!" not | "(" or ")" | "all()" | "global()" | "has(" key ")" | key test
 *     test      "==" text | "!=" text | "in" set | "not in" set | "contains" text | "starts with" text | "ends with" text
 *     set       "{" (text ("," text)*)? "}"
 *     text      '…' or "…", without escapes
 *
 * A missing label satisfies `!=` and `not in`, and no other test. An empty selector is `all()`.
 */
import { InvalidRequest } from "../invalid-request.ts";

export type Labels = Readonly<Record<string, string>>;
export type Selector = (labels: Labels) => boolean;

/** More than any real selector needs, and safe for any stack size. */
const maxDepth = 20;
const everything: Selector = () => true;

/** Throws `InvalidRequest` with the position of the syntax error. */
export function parseSelector(text: string): Selector {
  const tokens = tokensOf(text);
  if (tokens.length === 0) return everything;
  const reader = { text, tokens, at: 0, depth: 0 };
  const selector = parseOr(reader);
  if (reader.at < tokens.length) throw unexpected(reader, "the end");
  return selector;
}

interface Token {
  readonly kind: "text" | "word" | "mark";
  readonly value: string;
  /** The position of its first character. */
  readonly start: number;
}

interface Reader {
  readonly text: string;
  readonly tokens: readonly Token[];
  at: number;
  /** The number of open parentheses. */
  depth: number;
}

const pattern = /\s*(?:"([^"]*)"|'([^']*)'|([\w./-]+)|(==|!=|&&|\|\||[!(){},]))/y;

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  pattern.lastIndex = 0;
  while (pattern.lastIndex < end) {
    const start = pattern.lastIndex;
    const match = pattern.exec(text);
    if (match === null) throw refusal(text, `nothing begins at "${text.slice(start).trim()}"`);
    const [, double, single, word, mark] = match;
    if (word !== undefined) tokens.push({ kind: "word", value: word, start });
    else if (mark !== undefined) tokens.push({ kind: "mark", value: mark, start });
    else tokens.push({ kind: "text", value: double ?? single ?? "", start });
  }
  return tokens;
}

function parseOr(reader: Reader): Selector {
  const parts = [parseAnd(reader)];
  while (takeMark(reader, "||")) parts.push(parseAnd(reader));
  return (labels) => parts.some((part) => part(labels));
}

function parseAnd(reader: Reader): Selector {
  const parts = [parseNot(reader)];
  while (takeMark(reader, "&&")) parts.push(parseNot(reader));
  return (labels) => parts.every((part) => part(labels));
}

function parseNot(reader: Reader): Selector {
  let negated = false;
  while (takeMark(reader, "!")) negated = !negated;
  const inner = parseOperand(reader);
  return negated ? (labels) => !inner(labels) : inner;
}

function parseOperand(reader: Reader): Selector {
  if (takeMark(reader, "(")) {
    if (++reader.depth > maxDepth) throw refusal(reader.text, `it is nested more than ${maxDepth} deep`);
    const inner = parseOr(reader);
    expectMark(reader, ")");
    reader.depth--;
    return inner;
  }
  const key = takeKind(reader, "word", "a label's name");
  return takeMark(reader, "(") ? parseCall(reader, key) : parseTest(reader, key);
}

function parseCall(reader: Reader, name: string): Selector {
  if (name === "has") {
    const key = takeKind(reader, "word", "a label's name");
    expectMark(reader, ")");
    return (labels) => Object.hasOwn(labels, key);
  }
  if (name !== "all" && name !== "global") throw refusal(reader.text, `there is no "${name}()"`);
  expectMark(reader, ")");
  // global() matches objects without a namespace; nodes and namespaces have none.
  return everything;
}

function parseTest(reader: Reader, key: string): Selector {
  const value = (labels: Labels) => (Object.hasOwn(labels, key) ? labels[key] : undefined);
  if (takeMark(reader, "==")) {
    const wanted = takeKind(reader, "text", "a quoted text");
    return (labels) => value(labels) === wanted;
  }
  if (takeMark(reader, "!=")) {
    const wanted = takeKind(reader, "text", "a quoted text");
    return (labels) => value(labels) !== wanted;
  }
  return parseWordTest(reader, value);
}

function parseWordTest(reader: Reader, value: (labels: Labels) => string | undefined): Selector {
  if (takeWords(reader, "in")) {
    const set = parseSet(reader);
    return (labels) => set.has(value(labels));
  }
  if (takeWords(reader, "not", "in")) {
    const set = parseSet(reader);
    return (labels) => !set.has(value(labels));
  }
  if (takeWords(reader, "contains")) {
    const part = takeKind(reader, "text", "a quoted text");
    return (labels) => value(labels)?.includes(part) === true;
  }
  if (takeWords(reader, "starts", "with")) {
    const start = takeKind(reader, "text", "a quoted text");
    return (labels) => value(labels)?.startsWith(start) === true;
  }
  if (takeWords(reader, "ends", "with")) {
    const end = takeKind(reader, "text", "a quoted text");
    return (labels) => value(labels)?.endsWith(end) === true;
  }
  throw unexpected(reader, "==, !=, in, not in, contains, starts with or ends with");
}

function parseSet(reader: Reader): ReadonlySet<string | undefined> {
  const set = new Set<string>();
  expectMark(reader, "{");
  if (takeMark(reader, "}")) return set;
  do set.add(takeKind(reader, "text", "a quoted text"));
  while (takeMark(reader, ","));
  expectMark(reader, "}");
  return set;
}

function takeMark(reader: Reader, mark: string): boolean {
  const token = reader.tokens[reader.at];
  if (token?.kind !== "mark" || token.value !== mark) return false;
  reader.at++;
  return true;
}

function takeWords(reader: Reader, ...words: readonly string[]): boolean {
  const matches = words.every((word, i) => {
    const token = reader.tokens[reader.at + i];
    return token?.kind === "word" && token.value === word;
  });
  if (matches) reader.at += words.length;
  return matches;
}

function takeKind(reader: Reader, kind: Token["kind"], wanted: string): string {
  const token = reader.tokens[reader.at];
  if (token?.kind !== kind) throw unexpected(reader, wanted);
  reader.at++;
  return token.value;
}

function expectMark(reader: Reader, mark: string): void {
  if (!takeMark(reader, mark)) throw unexpected(reader, mark);
}

function unexpected({ text, tokens, at }: Reader, wanted: string): InvalidRequest {
  const token = tokens[at];
  return refusal(
    text,
    `wanted ${wanted}, found ${token === undefined ? "the end" : `"${text.slice(token.start).trim()}"`}`,
  );
}

function refusal(selector: string, reason: string): InvalidRequest {
  return new InvalidRequest({ what: "selector", selector, reason });
}
