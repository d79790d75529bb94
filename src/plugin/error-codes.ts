/** The codes of the CNI protocol for the errors of the core: the one place where they meet. */
import { CniError, code } from "../cni/error.ts";
import { CoreError, type ErrorKind } from "../errors/core-error.ts";
import { FailuresError } from "../errors/run-every.ts";
import { DifferencesError, differencesText } from "./differences.ts";

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
  if (error instanceof FailuresError) return severalFailures(error);
  if (!(error instanceof CoreError)) return undefined;
  return new CniError(codes[error.kind], error.message, error.rollback && `and then: ${error.rollback.message}`);
}

/** The code of the first; what CHECK found stays data. */
function severalFailures({ failures, message }: FailuresError): CniError {
  const found = failures.flatMap((failure) => (failure instanceof DifferencesError ? failure.differences : []));
  const details = found.length === 0 ? undefined : differencesText(found);
  return new CniError(protocolError(failures[0])?.code ?? code.internal, message, details);
}
