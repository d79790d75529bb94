/**
 * The errors of the core: each carries what happened as data, and its message is made of the data alone. **Nobody reads a message**: whoever has
 * to decide asks the class and its fields.
 *
 * The core does not know the CNI protocol: `src/plugin/error-codes.ts` gives each kind its code in the specification, and the operator's
 * command has words of its own. What is no `CoreError` (nor one of the protocol's own) is a failed system call or a bug.
 */

/** What can go wrong below the protocol. A new kind does not compile until it has a code. */
export type ErrorKind =
  /** The kernel, or a program that asks it, refused an operation. */
  | "refused"
  /** What is to be made is there already and belongs to somebody else. */
  | "conflict"
  /** Something did not end in time; the same may succeed later. */
  | "timeout"
  /** The datastore could not be read or written, or holds what cannot be used. */
  | "datastore"
  /** No address is left for what was asked. */
  | "no-address"
  /** What was asked for cannot be, whatever the state of the node. */
  | "invalid";

export abstract class CoreError extends Error {
  abstract readonly kind: ErrorKind;
  /** What could not be taken back afterwards; set by whoever tried. */
  rollback: CoreError | undefined;
}
