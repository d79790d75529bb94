/**
 * `tortie-net serve` as a child: it applies plans, and tells what the kernel tells. It is started again when it ends, at first at once, then
 * ever later.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { CoreError } from "../../errors/core-error.ts";
import {
  encodeLine,
  isEvent,
  type NetEvent,
  type NetLine,
  type NetRequest,
  netProtocolVersion,
  parseLine,
  type Report,
} from "../../net-protocol/messages.ts";

export interface NetProcessOptions {
  /** The path of `tortie-net`. */
  readonly program: string;
  readonly signal: AbortSignal;
  /** It runs, and knows no plan. */
  readonly onStart: () => void;
  readonly onEvent: (event: NetEvent) => void;
  /** It ended, or could not be started; a new one follows. */
  readonly onEnd: (error: CoreError) => void;
}

/** `tortie-net` does not run. */
class NetProcessEnded extends CoreError {
  override readonly name = "NetProcessEnded";
  readonly kind = "timeout";

  constructor(program: string, reason: string) {
    super(`cannot change the node's routes: "${program} serve" ${reason}`);
  }
}

/** A request that it did not understand: both belong to one release. */
class NetRefused extends CoreError {
  override readonly name = "NetRefused";
  readonly kind = "datastore";
}

type Body = NetRequest extends infer One ? (One extends unknown ? Omit<One, "version" | "id"> : never) : never;

interface Waiting {
  readonly resolve: (report: Report) => void;
  readonly reject: (error: CoreError) => void;
}

const firstPauseMs = 100;
const maxPauseMs = 10_000;
/** A process that ran this long did not fail at its start. */
const steadyMs = 10_000;
/** A thousand nodes take two seconds. */
const answerMs = 60_000;

export class NetProcess {
  readonly #options: NetProcessOptions;
  #child: ChildProcess | undefined;
  #waiting = new Map<number, Waiting>();
  #requests = 0;

  constructor(options: NetProcessOptions) {
    this.#options = options;
    void this.#keepRunning();
  }

  /** Rejects with a `CoreError` if it does not run or ends before it answers. */
  request(body: Body): Promise<Report> {
    const id = ++this.#requests;
    const stdin = this.#child?.stdin;
    if (stdin == null) return Promise.reject(this.#ended("does not run"));
    return new Promise<Report>((resolve, reject) => {
      const timer = setTimeout(() => this.#child?.kill("SIGKILL"), answerMs);
      const settled =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          then(value);
        };
      this.#waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
      stdin.write(encodeLine({ version: netProtocolVersion, id, ...body }));
    });
  }

  async #keepRunning(): Promise<void> {
    const { signal, onEnd } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      const start = performance.now();
      const reason = await this.#runOnce();
      if (signal.aborted) return;
      onEnd(this.#ended(reason));
      failures = performance.now() - start > steadyMs ? 0 : failures + 1;
      const pauseMs = failures === 0 ? 0 : Math.min(maxPauseMs, firstPauseMs * 2 ** (failures - 1));
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Returns the reason why it ended. */
  #runOnce(): Promise<string> {
    const { program, signal, onStart } = this.#options;
    const child = spawn(program, ["serve"], { stdio: ["pipe", "pipe", "pipe"], env: {} });
    let complaint = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint = (complaint + text).slice(-1000);
    });
    // Its end is reported by `close`.
    child.stdin.on("error", () => undefined);
    createInterface({ input: child.stdout }).on("line", (line) => this.#read(line));
    const end = () => child.stdin.end();
    signal.addEventListener("abort", end, { once: true });
    return new Promise((resolve) => {
      child.once("spawn", () => {
        this.#child = child;
        onStart();
      });
      let isOver = false;
      const finish = (reason: string) => {
        if (isOver) return;
        isOver = true;
        signal.removeEventListener("abort", end);
        this.#child = undefined;
        const waiting = [...this.#waiting.values()];
        this.#waiting = new Map();
        for (const { reject } of waiting) reject(this.#ended(reason));
        resolve(reason);
      };
      child.once("error", (error) => finish(`cannot be started (${error.message}); install it, or set TORTIE_NET`));
      child.once("close", (code, name) => finish(`ended with ${name ?? `exit code ${code}`}: ${complaint.trim()}`));
    });
  }

  #read(text: string): void {
    let line: NetLine;
    try {
      line = parseLine(text);
    } catch {
      this.#child?.kill("SIGKILL");
      return;
    }
    if (isEvent(line)) {
      this.#options.onEvent(line);
      return;
    }
    const waiting = this.#waiting.get(line.id ?? 0);
    this.#waiting.delete(line.id ?? 0);
    if ("error" in line) waiting?.reject(new NetRefused(`tortie-net refuses the plan: ${line.error.message}`));
    else waiting?.resolve(line);
  }

  #ended(reason: string): NetProcessEnded {
    return new NetProcessEnded(this.#options.program, reason);
  }
}
