/**
 * What the node agent and `tortie-net` say to each other: JSON on standard input and output.
 *
 *     tortie-net apply      one request ──► one answer
 *     tortie-net serve      a request in each line ──► an answer in a line, in the same order; and events in lines of their own between them
 *
 * Both are parts of one release. Fields may be added, but no field may change its meaning: that needs a new version.
 */
import type { ErrorKind } from "../errors/core-error.ts";
import type { NodeEvent } from "../plan/node-event.ts";
import type { NodePlan, NodeResource, TunnelState } from "../plan/node-plan.ts";

export const netProtocolVersion = 1;

interface Envelope {
  readonly version: number;
  /** Repeated in the answer. */
  readonly id?: number;
}

/** The whole plan, which replaces the previous one. */
export interface PlanRequest extends Envelope {
  readonly plan: NodePlan;
}

/**
 * A change of the previous plan, only for `serve`. A resource of `add` replaces the one with the same identity; `remove` names resources to remove,
 * of which only the identity counts (`identityOf`).
 */
export interface ChangeRequest extends Envelope {
  readonly add: readonly NodeResource[];
  readonly remove: readonly NodeResource[];
}

export type NetRequest = PlanRequest | ChangeRequest;

export interface NetError {
  readonly kind: ErrorKind | "bug";
  /** The class: `KernelError`. */
  readonly name: string;
  readonly message: string;
}

/** A resource that could not be applied, or an object that could not be removed. */
export interface Failure {
  /** In the words of ip(8): `route 10.65.1.0/26 via 10.65.1.1 dev vxlan.calico onlink`. */
  readonly what: string;
  /** Absent for an object that could not be removed. */
  readonly resource?: NodeResource;
  readonly error: NetError;
}

export interface Report {
  /** How many resources were added or changed; 0 if the kernel held all of them. */
  readonly applied: number;
  /** What was removed, in the words of ip(8). */
  readonly removed: readonly string[];
  /** Empty: the kernel holds the plan. */
  readonly failures: readonly Failure[];
  readonly tunnels: readonly TunnelState[];
}

export type ReportAnswer = Envelope & Report;

/** The request could not be read. */
export interface Refusal extends Envelope {
  readonly error: NetError;
  /** The versions of this program. */
  readonly versions: readonly number[];
}

export type NetAnswer = ReportAnswer | Refusal;

export type NetEvent =
  | NodeEvent
  /** Something that the plan wants had been changed by another program, and was put back, or could not be. */
  | (Report & { readonly event: "repaired" });

export type NetLine = NetAnswer | NetEvent;

export function isEvent(line: NetLine): line is NetEvent {
  return "event" in line;
}

/** One line, with its end. */
export function encodeLine(message: NetRequest | NetLine): string {
  return `${JSON.stringify(message)}\n`;
}

/** Reads a line of `tortie-net`, which belongs to the same release. Throws `SyntaxError` if it is not JSON. */
export function parseLine(line: string): NetLine {
  return JSON.parse(line) as NetLine;
}
