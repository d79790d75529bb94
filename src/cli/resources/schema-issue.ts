/** Errors of a document by its schema, with the field names that the document's writer knows. */
import type * as z from "zod";
import { didYouMean } from "../suggest.ts";

type Issue = z.core.$ZodIssue;
type Path = Issue["path"];

/** One text each. `root` is the name of the value itself, and precedes the path of everything in it. */
export function issueTexts(schema: z.ZodType, value: unknown, root: string): readonly string[] {
  const parsed = schema.safeParse(value);
  return parsed.success ? [] : parsed.error.issues.flatMap((issue) => textsOf(issue, schema, value, root));
}

function textsOf(issue: Issue, schema: z.ZodType, value: unknown, root: string): readonly string[] {
  const { path } = issue;
  const place = placeOf(root, path);
  if (issue.code === "unrecognized_keys") {
    const known = fieldsAt(schema, path);
    return issue.keys.map((key) => `unknown field ${place === "" ? "" : `${place}.`}${key}${didYouMean(key, known)}`);
  }
  const found = valueAt(value, path);
  if (issue.code === "invalid_type" || issue.code === "invalid_union") {
    if (found === undefined) return [`${place} is missing`];
    const wanted = issue.code === "invalid_type" ? withArticle(issue.expected) : "of another type";
    return [`${place} must be ${wanted}, not ${JSON.stringify(found)}`];
  }
  if (issue.code === "invalid_value") {
    const wanted = issue.values.map(String);
    const hint = typeof found === "string" ? didYouMean(found, wanted) : "";
    if (found === undefined) return [`${place} is missing`];
    return [`${place} must be ${oneOf(wanted)}, not ${JSON.stringify(found)}${hint}`];
  }
  const message = issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
  // An issue of the whole resource names its fields itself.
  return [place === root ? message : `${place}: ${message}`];
}

/** `spec.attributes[0].handle_id`. */
function placeOf(root: string, path: Path): string {
  return path.reduce<string>((place, part) => {
    if (typeof part === "number") return `${place}[${part}]`;
    return place === "" ? String(part) : `${place}.${String(part)}`;
  }, root);
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, part) => (inner as Readonly<Record<PropertyKey, unknown>> | null)?.[part], value);
}

/** The names of the fields at a place of the schema. */
function fieldsAt(schema: z.ZodType, path: Path): readonly string[] {
  const found = path.reduce<Node | undefined>((node, part) => {
    const { shape, element } = opened(node);
    return typeof part === "number" ? element : shape?.[String(part)];
  }, schema as Node);
  return Object.keys(opened(found).shape ?? {});
}

/** The parts of zod's schemas that are used here. */
interface Node {
  readonly shape?: Readonly<Record<string, Node>>;
  readonly element?: Node;
  readonly unwrap?: () => Node;
}

/** Unwraps "optional" and "nullable". */
function opened(node: Node | undefined): Node {
  let inner = node ?? {};
  while (inner.shape === undefined && inner.element === undefined && inner.unwrap !== undefined) inner = inner.unwrap();
  return inner;
}

const articles: Readonly<Record<string, string>> = {
  array: "a list",
  boolean: "true or false",
  int: "an integer",
  number: "a number",
  object: "an object",
  record: "an object",
  string: "a text",
};

function withArticle(type: string): string {
  return articles[type] ?? type;
}

function oneOf(values: readonly string[]): string {
  const quoted = values.map((value) => JSON.stringify(value));
  return quoted.length < 2 ? quoted.join() : `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}
