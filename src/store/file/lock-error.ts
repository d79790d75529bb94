/** Errors of taking a lock. */
import { CoreError } from "../../errors/core-error.ts";

export interface LockWait {
  /** What the lock protects; follows "cannot lock". */
  readonly what: string;
  readonly path: string;
  /** For people: `process 812 (tortie)`. */
  readonly holder: string;
  readonly waitedMs: number;
}

/** Another process held the lock for too long. */
export class LockTimeout extends CoreError {
  override readonly name = "LockTimeout";
  readonly kind = "timeout";
  readonly wait: LockWait;

  constructor(wait: LockWait) {
    const seconds = Math.round(wait.waitedMs / 1000);
    super(`cannot lock ${wait.what}: "${wait.path}" is held by ${wait.holder} and was not free within ${seconds} s`);
    this.wait = wait;
  }
}

/** The lock file cannot be created. */
export class LockError extends CoreError {
  override readonly name = "LockError";
  readonly kind = "datastore";
  readonly what: string;
  readonly path: string;

  constructor(what: string, path: string, cause: unknown) {
    super(`cannot lock ${what}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    this.what = what;
    this.path = path;
  }
}
