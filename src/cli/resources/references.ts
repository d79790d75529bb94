/** The arguments of `get` and `delete`: `ippool a b`, or the output of `get -o name`, `ippool/a ippool/b`. */
import { CliError, exitStatus } from "../error.ts";
import { findKind, parseKind, type ResourceKind } from "./kinds.ts";
import type { Resource } from "./resource.ts";

export interface References {
  readonly kind: ResourceKind;
  readonly names: readonly string[];
}

/** Throws `CliError` 2. */
export function parseReferences(first: string, others: readonly string[]): References {
  const [word, name] = split(first);
  const kind = parseKind(word);
  if (name === undefined) return { kind, names: others };
  const names = others.map((other) => {
    const [otherWord, otherName] = split(other);
    if (otherName === undefined || findKind(otherWord) !== kind) {
      throw new CliError(`cannot use "${other}" beside "${first}": wanted ${word}/<name>`, exitStatus.usage);
    }
    return otherName;
  });
  return { kind, names: [name, ...names] };
}

/** `ippool/default-ipv4-ippool`. */
export function referenceOf(resource: Resource): string {
  return `${resource.kind.toLowerCase()}/${qualifiedName(resource)}`;
}

/** An endpoint has its namespace in front, because names of pods are unique only in their namespace. */
export function qualifiedName({ metadata }: Pick<Resource, "metadata">): string {
  return typeof metadata.namespace === "string" ? `${metadata.namespace}/${metadata.name}` : metadata.name;
}

function split(reference: string): readonly [string, string | undefined] {
  const at = reference.indexOf("/");
  return at < 0 ? [reference, undefined] : [reference.slice(0, at), reference.slice(at + 1)];
}
