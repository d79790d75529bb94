/**
 * What goes wrong at one step of a process, and when that step has come.
 *
 *     12:before     killed, and the call of step 12 was not made
 *     12:inside     killed while it replaced a file: the temporary neighbour is left, with half of the text; while it ran iptables-restore: the
 *                   last table is as before
 *     12:after      killed, and the call has taken effect: nobody got to know its result
 *     12:ENOSPC     the call is not made and fails with this errno
 *     12:ENOSPC/2   the kernel refuses message 2, counted from 0, of the datagram, and does with the others what it does then
 */

export type Fault =
  | { readonly step: number; readonly kill: "before" | "inside" | "after" }
  | { readonly step: number; readonly errno: string; readonly message?: number };

/** A step that a process took. */
export interface Step {
  /** The function of `Sys`, or `send`, `receive`, `close` of a netlink socket. */
  readonly call: string;
  /** A path, a stream, a protocol. */
  readonly object: string;
  /** How many messages a send has. */
  readonly messages?: number;
}

/** The ways to be killed at a step. */
export function killsOf({ call, object }: Step): readonly ("before" | "inside" | "after")[] {
  const hasMiddle = call === "replaceFile" || (call === "run" && object.endsWith("-restore"));
  return hasMiddle ? ["before", "inside", "after"] : ["before", "after"];
}

export interface FaultOptions {
  /** Several for a process that fails and is killed while it takes things back. */
  readonly faults: readonly Fault[];
  /**
   * Ends the process. Where it throws instead (the model) it is called again at each further step: a dead process does nothing any
   * more, and only the kernel still frees its locks and closes its descriptors.
   */
  readonly die: () => never;
  readonly onStep?: (step: Step) => void;
}

/** Reads one fault. Throws where the text is none. */
export function parseFault(text: string): Fault {
  const [, step, what = "", message] = /^(\d+):(before|inside|after|E[A-Z0-9]+)(?:\/(\d+))?$/.exec(text) ?? [];
  if (step === undefined) throw new Error(`cannot read the fault "${text}"`);
  const at = { step: Number(step) };
  if (what === "before" || what === "inside" || what === "after") return { ...at, kill: what };
  return { ...at, errno: what, ...(message !== undefined && { message: Number(message) }) };
}

/** What `parseFault` reads. */
export function faultText(fault: Fault): string {
  if ("kill" in fault) return `${fault.step}:${fault.kill}`;
  return `${fault.step}:${fault.errno}${fault.message === undefined ? "" : `/${fault.message}`}`;
}

/** Counts the steps, from 1, and lets each be befallen by what is meant for it. */
export class Faults {
  readonly #options: FaultOptions;
  #steps = 0;
  #dead = false;

  constructor(options: FaultOptions) {
    this.#options = options;
  }

  /** Takes a step; `inside` does what a kill in the middle of it leaves. */
  take<T>(step: Step, body: () => T, inside: () => void = () => undefined): T {
    const fault = this.next(step);
    return fault === undefined ? body() : this.befall(fault, step, body, inside);
  }

  /** The same for what the kernel does of a dead process itself, and what cannot fail. */
  release(call: string, body: () => void): void {
    const fault = this.#dead ? undefined : this.next({ call, object: "" });
    body();
    if (fault !== undefined && "kill" in fault) this.#die();
  }

  /** Counts a step without taking it: what is to befall it. */
  next(step: Step): Fault | undefined {
    if (this.#dead) this.#die();
    this.#steps++;
    this.#options.onStep?.(step);
    return this.#options.faults.find((fault) => fault.step === this.#steps);
  }

  befall<T>(fault: Fault, { call, object }: Step, body: () => T, inside: () => void = () => undefined): T {
    if ("errno" in fault)
      throw Object.assign(new Error(`${call} ${object}: injected`), { code: fault.errno, syscall: call });
    try {
      if (fault.kill === "inside") inside();
      if (fault.kill === "after") body();
    } catch {
      // It has failed, and nobody gets to know.
    }
    return this.#die();
  }

  #die(): never {
    this.#dead = true;
    return this.#options.die();
  }
}
