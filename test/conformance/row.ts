/** What a row of the conformance table is: one behaviour that can be seen from outside, and whether a set of plugins shows it. */
import { PluginError } from "../lib/runtimes/runner.ts";
import type { Stage } from "./stage.ts";

export interface Row {
  /** 1 to 165 are the checklist's; from 166 on they are promises of this project. Numbers are never given twice. */
  readonly number: number;
  /** What a conforming set of plugins does, in a few words. */
  readonly title: string;
  /** Roles of the conflist ("portmap") and executables ("firewall") that the row is about; without one of them it does not apply. */
  readonly requires?: readonly string[];
  /** Whether it is run with each back end that the chain's portmap has. */
  readonly everyBackend?: true;
  /** Where the row says it otherwise than the checklist, or of some plugins alone: why. */
  readonly note?: string;
  /** Throws `Unmet` or `DoesNotApply`; so does the promise, where it returns one. */
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

/** The plugins do not do what the row says. */
export class Unmet extends Error {
  override readonly name = "Unmet";

  constructor(wanted: string, came: unknown) {
    super(`wanted ${wanted}, got ${show(came)}`);
  }
}

/** The row is about something that these plugins, or this machine's kernel, do not have. */
export class DoesNotApply extends Error {
  override readonly name = "DoesNotApply";
}

/** Throws `Unmet` unless the condition holds. */
export function want(condition: boolean, wanted: string, came: unknown): asserts condition {
  if (!condition) throw new Unmet(wanted, came);
}

/** Runs a part of a row; what it says of `Unmet` begins with `what`. */
export function about<T>(what: string, part: () => T): T {
  try {
    return part();
  } catch (error) {
    if (error instanceof Unmet || error instanceof PluginError) error.message = `${what}: ${error.message}`;
    throw error;
  }
}

const longest = 300;
/** The stack of a Go program that crashed: it is of the machine that built it. */
const stack = / goroutine \d+ \[.*$/;

function show(came: unknown): string {
  const text = (typeof came === "string" ? came : (JSON.stringify(came) ?? String(came)))
    .replace(/\s+/g, " ")
    .replace(stack, "")
    .trim();
  return text === "" ? "nothing" : text.length > longest ? `${text.slice(0, longest)}…` : text;
}
