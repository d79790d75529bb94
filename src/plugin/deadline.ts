/**
 * The time limits of one operation. Runtimes wait two minutes (kubelet) or one (CRI-O, for DEL). A later answer would go unread, and nothing would
 * be rolled back.
 *
 *     0 s ──── waits for locks ──── 40 s ─── the work ─── 50 s ─── roll-back ─── 58 s
 *
 * Every wait (locks, programs, the kernel's answers, stdin) ends with the operation's time and then fails with code 11.
 */
import { CoreError } from "../errors/core-error.ts";
import { isErrno, type Sys } from "../host/sys.ts";

const operationMs = 50_000;
const undoMs = 8_000;

export class DeadlineExceeded extends CoreError {
  override readonly name = "DeadlineExceeded";
  readonly kind = "timeout";

  constructor(cause: Error) {
    super(`cannot finish within ${operationMs / 1000} s: ${cause.message}`, { cause });
  }
}

export interface Deadline {
  /** The operating system, whose waits are limited to the remaining time. */
  readonly sys: Sys;
  /** Grants extra time for the roll-back. */
  extend(): void;
}

export function startDeadline(machine: Sys): Deadline {
  let end = machine.monotonicMs() + operationMs;
  /** Throws what `wait` throws, or `DeadlineExceeded` if the remaining time was shorter than `wantedMs`. */
  function within<T>(wantedMs: number, wait: (timeoutMs: number) => T): T {
    const left = Math.max(0, end - machine.monotonicMs());
    if (wantedMs <= left) return wait(wantedMs);
    try {
      return wait(left);
    } catch (error) {
      if (!isErrno(error, "ETIMEDOUT")) throw error;
      throw new DeadlineExceeded(error);
    }
  }
  const sys: Sys = Object.assign(Object.create(machine) as Sys, {
    readStdin: (maxBytes, timeoutMs) => within(timeoutMs, (left) => machine.readStdin(maxBytes, left)),
    lock: (path, mode, timeoutMs) => within(timeoutMs, (left) => machine.lock(path, mode, left)),
    run: (argv, options) => within(options.timeoutMs, (timeoutMs) => machine.run(argv, { ...options, timeoutMs })),
    exchange: (path, request, timeoutMs) => within(timeoutMs, (left) => machine.exchange(path, request, left)),
    openNetlink(protocol, netns) {
      const socket = machine.openNetlink(protocol, netns);
      return {
        send: socket.send,
        receive: (timeoutMs) => within(timeoutMs, socket.receive),
        close: socket.close,
      };
    },
  } satisfies Partial<Sys>);
  return {
    sys,
    extend() {
      end = machine.monotonicMs() + undoMs;
    },
  };
}

/** No time limit, for tests. */
export const noDeadline: Pick<Deadline, "extend"> = { extend() {} };
