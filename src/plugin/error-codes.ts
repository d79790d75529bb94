/** Maps the errors of the core to the codes of the CNI protocol; no other code does. */
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

/** The error for the runtime; `undefined` if it is neither a `CniError` nor a `CoreError`: a failed system call, or a bug. */
export function protocolError(error: unknown): CniError | undefined {
  if (error instanceof CniError) return error;
  if (error instanceof FailuresError) return severalFailures(error);
  if (!(error instanceof CoreError)) return undefined;
  return new CniError(codes[error.kind], error.message, error.rollback && `and then: ${error.rollback.message}`);
}

/** The code of the first failure; differences of CHECK stay data. */
function severalFailures({ failures, message }: FailuresError): CniError {
  const found = failures.flatMap((failure) => (failure instanceof DifferencesError ? failure.differences : []));
  const details = found.length === 0 ? undefined : differencesText(found);
  return new CniError(protocolError(failures[0])?.code ?? code.internal, message, details);
}
