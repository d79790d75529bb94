/** A row of the conformance table: one externally visible behaviour, and a test whether a set of plugins has it. */
import { PluginError } from "../lib/runtimes/runner.ts";
import type { Stage } from "./stage.ts";

export interface Row {
  /** 1 to 165 are the checklist's; numbers from 166 on are promises of this project. Numbers are never reused. */
  readonly number: number;
  /** The behaviour of a conforming set of plugins, in a few words. */
  readonly title: string;
  /** Roles of the conflist ("portmap") and executables ("firewall") that the row needs; without them it does not apply. */
  readonly requires?: readonly string[];
  /** Whether it runs with each back end of the chain's portmap. */
  readonly everyBackend?: true;
  /** The reason why the row differs from the checklist, or applies to some plugins only. */
  readonly note?: string;
  /** Throws `Unmet` or `DoesNotApply`, or returns a promise that rejects with one. */
  run(stage: Stage): unknown;
}

export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

export type Outcome =
  | { readonly number: number; readonly is: "pass"; readonly figure?: string }
  | { readonly number: number; readonly is: "fail"; readonly why: string }
  | { readonly number: number; readonly is: "does not apply"; readonly why: string };

/** The plugins do not have the row's behaviour. */
export class Unmet extends Error {
  override readonly name = "Unmet";

  constructor(wanted: string, came: unknown) {
    super(`wanted ${wanted}, got ${show(came)}`);
  }
}

/** These plugins, or this machine's kernel, lack the feature that the row is about. */
export class DoesNotApply extends Error {
  override readonly name = "DoesNotApply";
}

/** Throws `Unmet` unless the condition holds. */
export function want(condition: boolean, wanted: string, came: unknown): asserts condition {
  if (!condition) throw new Unmet(wanted, came);
}

/** Runs a part of a row; prefixes the message of `Unmet` with `what`. */
export function about<T>(what: string, part: () => T): T {
  try {
    return part();
  } catch (error) {
    if (error instanceof Unmet || error instanceof PluginError) error.message = `${what}: ${error.message}`;
    throw error;
  }
}

const longest = 300;
/** The stack of a Go program that crashed, which depends on the machine that built it. */
const stack = / goroutine \d+ \[.*$/;

function show(came: unknown): string {
  const text = (typeof came === "string" ? came : (JSON.stringify(came) ?? String(came)))
    .replace(/\s+/g, " ")
    .replace(stack, "")
    .trim();
  return text === "" ? "nothing" : text.length > longest ? `${text.slice(0, longest)}…` : text;
}
