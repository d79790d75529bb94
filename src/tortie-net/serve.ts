/**
 * `tortie-net serve`: answers requests, one in each line of standard input, tells what the kernel tells, and puts back what another program changed.
 * It ends when standard input ends.
 */
import { NodeExecutor } from "../dataplane/node-executor.ts";
import { CoreError } from "../errors/core-error.ts";
import type { Sys } from "../host/sys.ts";
import { encodeLine, type NetAnswer, type NetLine, netProtocolVersion } from "../net-protocol/messages.ts";
import { BadRequest, parseRequest } from "../net-protocol/parse.ts";
import { refusalOf, reportOf } from "./report.ts";

/** A plan of a thousand nodes takes half a megabyte. */
const maxLine = 64 << 20;
/** Long enough for an administrator's command to end that changes several objects. */
const firstPauseMs = 20;
/** Another program that keeps changing the same object is answered ever more slowly. */
const maxPauseMs = 10_000;
const foreverMs = 3_600_000;

export function serve(sys: Sys): void {
  const server = new Server(sys);
  try {
    while (server.step()) {}
  } finally {
    server.close();
  }
}

class Server {
  readonly #sys: Sys;
  readonly #executor: NodeExecutor;
  #hasPlan = false;
  #input = "";
  /** When to put back what was changed. */
  #repairAt: number | undefined;
  #repairedAt = Number.NEGATIVE_INFINITY;
  #pauseMs = firstPauseMs;

  constructor(sys: Sys) {
    this.#sys = sys;
    this.#executor = new NodeExecutor(sys);
  }

  /** Waits for one thing and does it. `false` at the end of standard input. */
  step(): boolean {
    const now = this.#sys.monotonicMs();
    const { stdin, socket } = this.#executor.wait(Math.max(0, (this.#repairAt ?? now + foreverMs) - now));
    if (socket) this.#tell();
    if (stdin && !this.#readInput()) return false;
    if (this.#repairAt !== undefined && this.#sys.monotonicMs() >= this.#repairAt) this.#repair();
    return true;
  }

  close(): void {
    this.#executor.close();
  }

  #tell(): void {
    const { events, touchesPlan } = this.#executor.read();
    for (const event of events) this.#write(event);
    if (touchesPlan) this.#repairAt ??= this.#sys.monotonicMs() + this.#pauseMs;
  }

  #readInput(): boolean {
    const part = this.#sys.readStdinPart();
    if (part === "") return false;
    const lines = (this.#input + part).split("\n");
    this.#input = lines.pop() ?? "";
    for (const line of lines) if (line !== "") this.#write(this.#answer(line));
    if (this.#input.length <= maxLine) return true;
    this.#write(refusalOf(new BadRequest(`a line is longer than ${maxLine} bytes`)));
    return false;
  }

  #answer(line: string): NetAnswer {
    try {
      const request = parseRequest(line);
      if (!("plan" in request) && !this.#hasPlan) throw new BadRequest("there is no plan to change", request.id);
      const report =
        "plan" in request ? this.#executor.apply(request.plan) : this.#executor.change(request.add, request.remove);
      this.#hasPlan = true;
      const { id } = request;
      return { version: netProtocolVersion, ...(id !== undefined && { id }), ...reportOf(report) };
    } catch (error) {
      // A bug ends the process, and the agent starts another one.
      if (!(error instanceof CoreError)) throw error;
      return refusalOf(error);
    }
  }

  #repair(): void {
    const start = this.#sys.monotonicMs();
    this.#pauseMs = start - this.#repairedAt < maxPauseMs ? Math.min(2 * this.#pauseMs, maxPauseMs) : firstPauseMs;
    this.#repairAt = undefined;
    const report = reportOf(this.#executor.repair());
    if (report.applied + report.failures.length === 0) return;
    this.#repairedAt = this.#sys.monotonicMs();
    this.#write({ event: "repaired", ...report });
  }

  #write(line: NetLine): void {
    this.#sys.write("stdout", encodeLine(line));
  }
}
