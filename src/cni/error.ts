/** The errors of the CNI protocol (specification 1.1.0, section 5 "Error"). */

/** Codes of the specification, and ours from 100. */
export const code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  badEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidConfig: 7,
  sameNetns: 8,
  tryAgainLater: 11,
  pluginNotAvailable: 50,
  limitedConnectivity: 51,
  /** A command or the kernel failed. */
  refused: 100,
  /** CHECK found differences. */
  different: 101,
  /** No address is available. */
  noAddress: 102,
  /** The datastore failed. */
  datastore: 103,
  /** A bug, or an error without a code. */
  internal: 999,
} as const;

/**
 * An answer to the runtime. The message is readable in the middle of a log line: `cannot <verb> <object>: <reason>; <remedy>`, in lower
 * case, with quoted values, and with the expected and the actual value.
 */
export class CniError extends Error {
  override readonly name = "CniError";
  readonly code: number;
  readonly details: string | undefined;

  constructor(errorCode: number, message: string, details?: string) {
    super(message);
    this.code = errorCode;
    this.details = details;
  }
}
