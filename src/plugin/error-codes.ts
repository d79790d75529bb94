/** The codes of the CNI protocol for the errors of the core: the one place where they meet. */
import { CniError, code } from "../cni/error.ts";
import { CoreError, type ErrorKind } from "../errors/core-error.ts";

const codes: Readonly<Record<ErrorKind, number>> = {
  refused: code.refused,
  conflict: code.refused,
  timeout: code.tryAgainLater,
  datastore: code.datastore,
  "no-address": code.noAddress,
  invalid: code.invalidConfig,
};

/** The error as the runtime gets it; `undefined` when it is neither of the protocol nor of the core: a failed system call, or a bug. */
export function protocolError(error: unknown): CniError | undefined {
  if (error instanceof CniError) return error;
  if (!(error instanceof CoreError)) return undefined;
  return new CniError(codes[error.kind], error.message, error.rollback && `and then: ${error.rollback.message}`);
}
