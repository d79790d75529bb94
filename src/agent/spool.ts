/**
 * Executes the messages that plugins left in the spool: at the start, when a file appears, and again every few seconds until it succeeds.
 *
 * **An ADD of the attachment waits for its own files** (`settle`): a late release would otherwise take the addresses of the ADD.
 */
import { watch } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { CoreError } from "../errors/core-error.ts";
import { isErrno, type Sys } from "../host/sys.ts";
import type { Attachment } from "../identity/attachment.ts";
import { spoolDirectory } from "../node-protocol/messages.ts";
import { spooledOps, spoolFile, spoolFiles } from "../node-protocol/spool.ts";

export interface SpoolOptions {
  readonly sys: Sys;
  /** Executes a file's message. Rejects with the error that prevents it. */
  readonly execute: (text: string) => Promise<void>;
  readonly onDone: (file: string) => void;
  /** Called for each failure. `isFinal`: the file is set aside, because a retry cannot succeed. */
  readonly onFailure: (file: string, error: Error, isFinal: boolean) => void;
}

/** A file that can never succeed is renamed to this suffix. */
const refusedSuffix = ".refused";
const retryMs = 5000;

export class Spool {
  readonly #options: SpoolOptions;
  /** Files in progress. */
  readonly #running = new Map<string, Promise<void>>();

  constructor(options: SpoolOptions) {
    this.#options = options;
  }

  /** How many files wait. */
  pending(): number {
    return spoolFiles(this.#options.sys).length;
  }

  /** Executes the waiting messages of an attachment; each has begun when this returns. Rejects with the error that prevents it. */
  async settle(attachment: Attachment): Promise<void> {
    const files = spooledOps.map((op) => spoolFile(attachment, op));
    await Promise.all(files.filter((file) => this.#options.sys.stat(file) !== undefined).map((file) => this.#do(file)));
  }

  /** Ends with the signal. */
  follow(signal: AbortSignal): void {
    this.#options.sys.makeDirs(spoolDirectory, 0o700);
    let isCalled = true;
    let wake = () => {};
    const watcher = watch(spoolDirectory, { signal, persistent: false }, () => {
      isCalled = true;
      wake();
    });
    // The directory itself may be removed; the next sweep reports that.
    watcher.on("error", () => {});
    const run = async () => {
      while (!signal.aborted) {
        isCalled = false;
        await this.sweep();
        if (isCalled) continue;
        const called = new Promise<void>((resolve) => {
          wake = resolve;
        });
        await Promise.race([called, sleep(retryMs, undefined, { signal, ref: false }).catch(() => undefined)]);
      }
    };
    void run();
  }

  /** Executes all waiting messages, but none after one that finds the datastore away: the rest would wait as long, one after another. */
  async sweep(): Promise<void> {
    for (const file of [...spoolFiles(this.#options.sys)].sort()) {
      try {
        await this.#do(file);
      } catch (error) {
        const isFinal = error instanceof CoreError && error.kind === "invalid";
        if (isFinal) this.#options.sys.rename(file, file + refusedSuffix);
        this.#options.onFailure(file, error as Error, isFinal);
        if (error instanceof CoreError && error.kind === "timeout") return;
      }
    }
  }

  /** Executes a file's message, unless it is running already. */
  #do(file: string): Promise<void> {
    const running = this.#running.get(file);
    if (running !== undefined) return running;
    const own = this.#execute(file).finally(() => this.#running.delete(file));
    this.#running.set(file, own);
    return own;
  }

  async #execute(file: string): Promise<void> {
    const { sys, execute, onDone } = this.#options;
    const text = ignoringMissing(() => sys.readFile(file, "refused"));
    if (text === undefined) return;
    await execute(text);
    ignoringMissing(() => sys.removeFile(file));
    onDone(file);
  }
}

function ignoringMissing<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
