/**
 * BIRD, which the agent configures and watches.
 *
 *     configure ─► BIRD checks the text ─► it replaces the file ─► BIRD reads it, or is started ─► every 5 s: does it answer?
 *
 * **A configuration that BIRD refuses never replaces one that works.** BIRD outlives the agent: a new agent finds it at its socket, so that a
 * restart of the agent ends no session.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { askBird, BirdError } from "./control.ts";
import { parseSessions, type SessionStatus } from "./status.ts";

export interface BirdOptions {
  /** The program of BIRD 2 or 3; searched in PATH if it has no slash. */
  readonly program: string;
  /** Where the configuration and the socket are. */
  readonly directory: string;
  /** Called after each attempt: `undefined` if BIRD runs with the wanted configuration. */
  readonly onState: (trouble: string | undefined) => void;
  /** How often to look whether BIRD answers, in milliseconds. */
  readonly checkMs?: number;
}

const startMs = 5000;
const maxPauseMs = 30_000;

export class Bird {
  readonly #options: BirdOptions;
  readonly #configFile: string;
  readonly #socket: string;
  readonly #checkMs: number;
  #refusal: string | undefined;
  #isClosed = false;
  #pauseMs: number;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(options: BirdOptions) {
    this.#options = options;
    this.#configFile = join(options.directory, "bird.conf");
    this.#socket = join(options.directory, "bird.ctl");
    this.#checkMs = options.checkMs ?? 5000;
    this.#pauseMs = this.#checkMs;
  }

  /** Never rejects: `onState` has the outcome. Calls take effect in their order. */
  configure(text: string): Promise<void> {
    return this.#enqueue(() => this.#install(text));
  }

  /** BIRD's, for its configuration. */
  get logFile(): string {
    return join(this.#options.directory, "bird.log");
  }

  /** Rejects if BIRD does not answer. */
  async sessions(): Promise<readonly SessionStatus[]> {
    return parseSessions(`${await askBird(this.#socket, "show protocols all")}\n`);
  }

  /** BIRD goes on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#work;
  }

  #enqueue(step: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(async () => {
      if (this.#isClosed) return;
      clearTimeout(this.#timer);
      try {
        await step();
        await this.#keepRunning();
        this.#pauseMs = this.#checkMs;
        this.#options.onState(this.#refusal);
      } catch (error) {
        this.#options.onState((error as Error).message);
        this.#pauseMs = Math.min(this.#pauseMs * 2, maxPauseMs);
      }
      this.#timer = setTimeout(() => void this.#enqueue(async () => {}), this.#pauseMs).unref();
    });
    return this.#work;
  }

  async #install(text: string): Promise<void> {
    this.#refusal = undefined;
    if (text === this.#installed()) return;
    const { directory, program } = this.#options;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const fresh = `${this.#configFile}.new`;
    // It may contain passwords.
    writeFileSync(fresh, text, { mode: 0o600 });
    const check = await execa(program, ["-p", "-c", fresh], { reject: false, all: true });
    if (check.failed) {
      rmSync(fresh);
      this.#refusal = `BIRD refuses the configuration: ${check.all || check.shortMessage}`;
      return;
    }
    renameSync(fresh, this.#configFile);
    if (await this.#answers()) await askBird(this.#socket, "configure");
  }

  #installed(): string | undefined {
    try {
      return readFileSync(this.#configFile, "utf8");
    } catch {
      return undefined;
    }
  }

  async #keepRunning(): Promise<void> {
    if (this.#installed() === undefined || (await this.#answers())) return;
    await this.#start();
  }

  #answers(): Promise<boolean> {
    return askBird(this.#socket, "show status").then(
      () => true,
      () => false,
    );
  }

  /** `-R`: what BIRD had before it ended stays until its neighbours have sent their routes again (RFC 4724). */
  async #start(): Promise<void> {
    const args = ["-f", "-R", "-c", this.#configFile, "-s", this.#socket];
    const child = spawn(this.#options.program, args, { detached: true, stdio: "ignore" });
    let end: string | undefined;
    child.on("error", (error) => {
      end = error.message;
    });
    child.on("exit", (code, signal) => {
      end = `it ended with ${signal ?? `status ${code}`}`;
    });
    child.unref();
    const deadline = Date.now() + startMs;
    while (!(await this.#answers())) {
      if (end !== undefined) throw new BirdError(`BIRD does not start: ${end}; its log is ${this.logFile}`);
      if (Date.now() > deadline) throw new BirdError(`BIRD was started and does not answer at ${this.#socket}`);
      await sleep(50);
    }
  }
}
