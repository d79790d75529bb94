/**
 * The errors of the core: each has the facts as data, and composes its message from that data alone. **No code parses a message**; code
 * that must distinguish errors tests the class and its fields.
 *
 * The core does not know the CNI protocol: `src/plugin/error-codes.ts` maps each kind to a code of the specification, and the operator's
 * command has its own messages. Any other error (except `CniError`) is a failed system call or a bug.
 */

/** The kinds of errors below the protocol. A new kind does not compile until it has a code. */
export type ErrorKind =
  /** The kernel, or a program that configures it, failed. */
  | "refused"
  /** An existing object has another owner. */
  | "conflict"
  /** Something did not finish in time; it may succeed later. */
  | "timeout"
  /** The datastore could not be read or written, or contains an unusable object. */
  | "datastore"
  /** No address is available for the request. */
  | "no-address"
  /** The request is impossible, whatever the state of the node. */
  | "invalid";

export abstract class CoreError extends Error {
  abstract readonly kind: ErrorKind;
  /** What could not be rolled back afterwards; set by the code that tried. */
  rollback: CoreError | undefined;
}
