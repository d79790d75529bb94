/**
 * A fault at one step of a process.
 *
 *     12:before     killed before the call of step 12
 *     12:inside     killed while replacing a file: the temporary file is left with half of the text; while running iptables-restore: the last
 *                   table is unchanged
 *     12:after      killed after the call took effect: nothing saw its result
 *     12:ENOSPC     the call is not made and fails with this errno
 *     12:ENOSPC/2   the kernel refuses message 2, counted from 0, of the datagram, and treats the others as it does in that case
 */

export type Fault =
  | { readonly step: number; readonly kill: "before" | "inside" | "after" }
  | { readonly step: number; readonly errno: string; readonly message?: number };

/** A step of a process. */
export interface Step {
  /** The function of `Sys`, or `send`, `receive`, `close` of a netlink socket. */
  readonly call: string;
  /** A path, a stream, a protocol. */
  readonly object: string;
  /** The number of messages of a send. */
  readonly messages?: number;
}

/** The possible kills at a step. */
export function killsOf({ call, object }: Step): readonly ("before" | "inside" | "after")[] {
  const hasMiddle = call === "replaceFile" || (call === "run" && object.endsWith("-restore"));
  return hasMiddle ? ["before", "inside", "after"] : ["before", "after"];
}

export interface FaultOptions {
  /** More than one for a process that fails and is killed during its rollback. */
  readonly faults: readonly Fault[];
  /**
   * Ends the process. If it throws instead (the model), it is called again at each further step: a dead process does nothing any more, except
   * that the kernel releases its locks and closes its descriptors.
   */
  readonly die: () => never;
  readonly onStep?: (step: Step) => void;
}

/** Parses one fault. Throws if the text is not a fault. */
export function parseFault(text: string): Fault {
  const [, step, what = "", message] = /^(\d+):(before|inside|after|E[A-Z0-9]+)(?:\/(\d+))?$/.exec(text) ?? [];
  if (step === undefined) throw new Error(`cannot read the fault "${text}"`);
  const at = { step: Number(step) };
  if (what === "before" || what === "inside" || what === "after") return { ...at, kill: what };
  return { ...at, errno: what, ...(message !== undefined && { message: Number(message) }) };
}

/** The text that `parseFault` parses. */
export function faultText(fault: Fault): string {
  if ("kill" in fault) return `${fault.step}:${fault.kill}`;
  return `${fault.step}:${fault.errno}${fault.message === undefined ? "" : `/${fault.message}`}`;
}

/** Counts the steps, from 1, and applies the fault of each. */
export class Faults {
  readonly #options: FaultOptions;
  #steps = 0;
  #dead = false;

  constructor(options: FaultOptions) {
    this.#options = options;
  }

  /** Takes a step; `inside` does what a kill in the middle of it leaves behind. */
  take<T>(step: Step, body: () => T, inside: () => void = () => undefined): T {
    const fault = this.next(step);
    return fault === undefined ? body() : this.befall(fault, step, body, inside);
  }

  /** The same for calls that the kernel also makes for a dead process, and that cannot fail. */
  release(call: string, body: () => void): void {
    const fault = this.#dead ? undefined : this.next({ call, object: "" });
    body();
    if (fault !== undefined && "kill" in fault) this.#die();
  }

  /** Counts a step without taking it, and returns its fault. */
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
      // The call failed, but the process is killed before it learns that.
    }
    return this.#die();
  }

  #die(): never {
    this.#dead = true;
    return this.#options.die();
  }
}
