/**
 * Errors of the kernel and of programs: the operation, its object, and the reason as data. **No code parses the messages**; it tests classes
 * and fields.
 */
import { CoreError, type ErrorKind } from "../errors/core-error.ts";
import type { RunResult } from "../host/sys.ts";
import { errnoName, errnoText } from "../netlink/errno.ts";
import type { Ack } from "../netlink/message.ts";
import type { PortClaim } from "../plan/iptables.ts";
import type { NftElement, NftTable } from "../plan/nft.ts";

/** The operation and its object, as they follow "cannot": `["delete", 'link "cali1" on the host']`. */
export type Attempt = readonly [operation: string, object: string];

abstract class DataplaneError extends CoreError {
  readonly kind: ErrorKind = "refused";
  readonly operation: string;
  readonly object: string;

  constructor([operation, object]: Attempt, reason: string) {
    super(`cannot ${operation} ${object}: ${reason}`);
    this.operation = operation;
    this.object = object;
  }
}

/** The kernel refused a request: `No such device (ENODEV): <the kernel's own words>; <remedy>`. */
export class KernelError extends DataplaneError {
  override readonly name = "KernelError";
  readonly errno: number;
  /** The kernel's own message (NLMSGERR_ATTR_MSG), if any. */
  readonly extack: string | undefined;
  readonly remedy: string | undefined;

  constructor(attempt: Attempt, { errno, text }: Ack, remedy?: string) {
    const own = text === undefined ? "" : `: ${text.endsWith(".") ? text.slice(0, -1) : text}`;
    super(attempt, `${errnoText(errno)}${own}${remedy === undefined ? "" : `; ${remedy}`}`);
    this.errno = errno;
    this.extack = text;
    this.remedy = remedy;
  }

  is(...names: readonly string[]): boolean {
    return names.includes(errnoName(this.errno));
  }
}

/** A system call failed: for a socket, a file or a program. */
export class SystemCallError extends DataplaneError {
  override readonly name = "SystemCallError";
  /** The name of the errno. */
  readonly errno: string;

  constructor(attempt: Attempt, cause: Error & { readonly code: string }, reason = cause.message) {
    super(attempt, reason);
    this.errno = cause.code;
  }
}

/** The kernel did not answer, or a program did not end, in time. */
export class TimeoutError extends DataplaneError {
  override readonly name = "TimeoutError";
  override readonly kind = "timeout";
  readonly waitedMs: number;

  constructor(attempt: Attempt, waitedMs: number, awaited: "answer" | "end") {
    super(attempt, `no ${awaited} within ${waitedMs / 1000} s${awaited === "end" ? ", killed" : ""}`);
    this.waitedMs = waitedMs;
  }
}

/** An object exists already and is not ours to replace. */
export class ConflictError extends DataplaneError {
  override readonly name: string = "ConflictError";
  override readonly kind = "conflict";
  /** The owner that is written on it; `undefined` if it has none. */
  readonly holder: string | undefined;

  constructor(attempt: Attempt, reason: string, holder?: string) {
    super(attempt, reason);
    this.holder = holder;
  }
}

/**
 * Thrown by `applyNft`. The plugin rewords it, because it knows the purpose of the element. `holder` is the comment of the existing element,
 * cut to the kernel's limit.
 */
export class NftConflict extends ConflictError {
  override readonly name = "NftConflict";
  readonly table: NftTable;
  readonly set: string;
  /** The element of the plan. */
  readonly element: NftElement;
  /** The data of the existing element, in register bytes. */
  readonly data: Uint8Array | undefined;

  constructor(
    table: NftTable,
    set: string,
    element: NftElement,
    holder: string | undefined,
    data: Uint8Array | undefined,
  ) {
    const place = `${set} of table ${table.family} ${table.name}`;
    super(["add", `${element.key.join(" . ")} to ${place}`], `${holder} has it`, holder);
    this.table = table;
    this.set = set;
    this.element = element;
    this.data = data;
  }
}

/**
 * Thrown if another attachment has a host port in iptables, or the chain with this attachment's name. The plugin rewords it. `holder` is the
 * rule that leads into the chain; its comment names the owner.
 */
export class IptablesConflict extends ConflictError {
  override readonly name = "IptablesConflict";
  readonly chain: string;
  /** The port of the plan; `undefined` if the chain itself belongs to another attachment. */
  readonly claim: PortClaim | undefined;

  constructor(chain: string, entry: string | undefined, claim?: PortClaim) {
    const what = claim === undefined ? `chain ${chain}` : `port ${claim.hostPort}/${claim.protocol} of the host`;
    super(["map", what], `chain ${chain} has it`, entry);
    this.chain = chain;
    this.claim = claim;
  }
}

/** Something that the operation needs does not exist: a link, a sandbox, a program. */
export class MissingError extends DataplaneError {
  override readonly name = "MissingError";
}

/** Other processes changed the object during every attempt. */
export class UnstableError extends DataplaneError {
  override readonly name = "UnstableError";
}

/** The kernel does not have a feature. */
export class MissingFeature extends DataplaneError {
  override readonly name = "MissingFeature";
  readonly feature: string;
  /** The modules that provide it, separated by a space; `undefined` if only a newer kernel has it. */
  readonly module: string | undefined;

  constructor(attempt: Attempt, { feature, module, reason }: Feature) {
    super(attempt, `${reason}${module === undefined ? "" : `; load module ${module}`}`);
    this.feature = feature;
    this.module = module;
  }
}

interface Feature {
  readonly feature: string;
  readonly reason: string;
  readonly module?: string;
}

/** A program ended with an error. */
export class CommandError extends DataplaneError {
  override readonly name = "CommandError";
  readonly argv: readonly string[];
  /** `undefined`: a signal ended it. */
  readonly status: number | undefined;
  readonly stderr: string;

  constructor(argv: readonly string[], { status, stderr }: Pick<RunResult, "status" | "stderr">) {
    const words = stderr.trim().split("\n").join("; ") || `it ended with exit code ${status}`;
    super(["run", argv.join(" ")], words);
    this.argv = argv;
    this.status = status;
    this.stderr = stderr;
  }
}

/** A bug during a roll-back or a removal; the other steps still run. */
export class UnexpectedError extends DataplaneError {
  override readonly name = "UnexpectedError";

  constructor(attempt: Attempt, cause: unknown) {
    super(attempt, `${cause}`);
  }
}

/** Whether the kernel refused with one of these errno names. */
export function hasErrno(ack: Ack, ...names: readonly string[]): boolean {
  return ack.errno !== 0 && names.includes(errnoName(ack.errno));
}

/** Whether it is a failed system call; other errors are the core's, or bugs. */
export function isSystemCallError(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && "code" in error && typeof error.code === "string";
}

/** Converts a failed system call to an error of the core; returns any other error unchanged. */
export function systemCallError(attempt: Attempt, error: unknown): unknown {
  return isSystemCallError(error) ? new SystemCallError(attempt, error) : error;
}
