/**
 * Attachments whose plugins are killed at a random moment, followed by a runtime's reaction.
 *
 *     ADD  calico ── bandwidth ── portmap         a plugin of the chain, picked at random, is killed after random microseconds
 *               kill -9 ↑                         (its process group: `timeout -s KILL 0.001234`, which leads it)
 *
 *     then  DEL | DEL twice | DEL without the namespace | GC | ADD again | the pod's next sandbox, with a late DEL of the old one
 *
 * **The delays are spread over the time that the plugin takes on this machine**, which is measured continuously: a third of the processes ends
 * first, and does not count as killed.
 */
import type { Conflist } from "../lib/conflist.ts";
import type { Node } from "../lib/node/netns.ts";
import { residue, stateOf } from "../lib/node/state.ts";
import { ping } from "../lib/node/traffic.ts";
import type { Random } from "../lib/random.ts";
import {
  addressOf,
  type Call,
  type CniResult,
  gcRequestOf,
  noSandbox,
  Runner,
  requestOf,
  type Sandbox,
} from "../lib/runtimes/runner.ts";
import { type PodSandbox, webSandbox } from "./sandbox.ts";

export type Victim = "ADD" | "DEL" | "GC";
export type Aftermath = "del" | "del twice" | "vanished" | "gc" | "again" | "next sandbox";

export interface KillingOptions {
  readonly node: Node;
  readonly list: Conflist;
  readonly pluginDirs: readonly string[];
  readonly random: Random;
  /** The commands that may be killed, and the possible reactions of the runtime. */
  readonly victims: readonly Victim[];
  readonly aftermaths: readonly Aftermath[];
  /** What these plugins keep intentionally, in addition to what ours keep. */
  readonly alsoKept?: RegExp;
}

export interface Trial {
  /** False if the plugin ended first. */
  readonly wasKilled: boolean;
  /** `ADD killed in portmap after 1234 us, then gc` */
  readonly story: string;
  /** What was left, missing or failed; empty if all is well. */
  readonly left: readonly string[];
}

export class Killing {
  readonly #options: KillingOptions;
  readonly #runner: Runner;
  /** Microseconds, by plugin and command. */
  readonly #spans = new Map<string, number>();
  #pods = 0;
  /** The node's state before a trial, which equals that after the last one unless something was left. */
  #before: string | undefined;

  constructor(options: KillingOptions) {
    this.#options = options;
    this.#runner = new Runner(options);
  }

  newSandbox(name?: string): PodSandbox {
    return webSandbox(this.#options.node, ++this.#pods, name);
  }

  /** Attaches a pod; returns what is wrong with it. */
  serve(sandbox: PodSandbox): readonly string[] {
    try {
      const result = this.#runner.add(this.#options.list, sandbox);
      if (!this.#options.list.disableCheck) this.check(sandbox);
      return ping(this.#options.node, undefined, addressOf(result)) ? [] : [`${sandbox.pod} is not served: no echo`];
    } catch (error) {
      return [`${sandbox.pod} is not served: ${(error as Error).message}`];
    }
  }

  /** Checks that an untouched attachment is unchanged. */
  check(sandbox: Sandbox): void {
    this.#runner.check(this.#options.list, sandbox);
  }

  del(sandbox: Sandbox): readonly string[] {
    return failure("DEL", () => this.#runner.del(this.#options.list, sandbox));
  }

  /** One pod's life. `neighbours` are valid attachments for GC. */
  async try(neighbours: readonly Sandbox[]): Promise<Trial> {
    const { node, random, victims, aftermaths, alsoKept } = this.#options;
    const sandbox = this.newSandbox();
    const before = this.#before ?? stateOf(node);
    const [victim, aftermath] = [random.pick(victims), random.pick(aftermaths)];
    const prepared = victim === "ADD" ? [] : this.serve(sandbox);
    const { call, delayUs } = this.#kill(victim, sandbox, neighbours);
    const followed = this.#follow(aftermath, victim, sandbox, neighbours);
    const left = [...prepared, ...followed, ...(await residue(node, before, alsoKept))];
    this.#before = left.length > 0 ? undefined : before;
    if (aftermath !== "vanished") left.push(...this.#remove(sandbox));
    const wasKilled = isKilled(call);
    const what = `${victim} ${wasKilled ? "killed" : "through"} in ${call.plugin}, limit ${delayUs} us`;
    return { wasKilled, story: `${what}, then ${aftermath}`, left };
  }

  /** Runs a chain up to the plugin that is killed, or to its end if no plugin is. */
  #kill(
    victim: Victim,
    sandbox: Sandbox,
    neighbours: readonly Sandbox[],
  ): { readonly call: Call; readonly delayUs: number } {
    const { list, random } = this.#options;
    const plugins = victim === "DEL" ? [...list.plugins].reverse() : list.plugins;
    const marked = random.pick(plugins);
    const key = `${marked.type} ${victim}`;
    const span = this.#spans.get(key) ?? 5_000;
    const delayUs = 1 + random.below(span);
    let prevResult = victim === "ADD" ? undefined : this.#runner.cached(list, sandbox);
    for (const plugin of plugins) {
      const isMarked = plugin === marked;
      const runner = isMarked ? this.#killer(delayUs) : this.#runner;
      const request =
        victim === "GC" ? gcRequestOf(list, plugin, neighbours) : requestOf(list, plugin, { sandbox, prevResult });
      const call = runner.tryExec(victim, plugin.type, request, victim === "GC" ? noSandbox : sandbox);
      if (isMarked) this.#spans.set(key, span * (isKilled(call) ? 1.1 : 0.82));
      if (call.status !== 0 || plugin === plugins.at(-1)) return { call, delayUs };
      if (victim === "ADD") prevResult = JSON.parse(call.stdout) as CniResult;
    }
    throw new Error("a chain has no plugins");
  }

  #killer(delayUs: number): Runner {
    return new Runner({ ...this.#options, wrap: ["timeout", "-s", "KILL", (delayUs / 1e6).toFixed(6)] });
  }

  #follow(
    aftermath: Aftermath,
    victim: Victim,
    sandbox: PodSandbox,
    neighbours: readonly Sandbox[],
  ): readonly string[] {
    switch (aftermath) {
      case "del":
        return this.del(sandbox);
      case "del twice":
        return [...this.del(sandbox), ...this.del(sandbox)];
      case "vanished":
        this.#options.node.removePod(sandbox.pod);
        return this.del(sandbox);
      case "gc":
        return failure("GC", () => this.#runner.collect(this.#options.list, neighbours));
      case "again":
        return [...this.serve(sandbox), ...this.del(sandbox)];
      case "next sandbox": {
        // It requests the same host port. After a killed GC the old one may still have it (docs/reliability.md).
        const { capabilities = {} } = sandbox;
        const young = { ...this.newSandbox(), ...(victim !== "GC" && { capabilities }) };
        const served = [...this.serve(young), ...this.del(sandbox)];
        const still = failure("CHECK after the late DEL", () => this.check(young));
        return [...served, ...still, ...this.del(young), ...this.#remove(young)];
      }
    }
  }

  /** Removes a sandbox; returns what was left in it. */
  #remove({ pod }: PodSandbox): readonly string[] {
    const left = this.#options.node.sh("ip -br link show; ip route show", { in: pod }).trim().split("\n");
    this.#options.node.removePod(pod);
    return left.filter((line) => !/^lo /.test(line)).map((line) => `in ${pod}: ${line}`);
  }
}

function isKilled({ signal }: Call): boolean {
  return signal === "SIGKILL";
}

function failure(what: string, action: () => void): readonly string[] {
  try {
    action();
    return [];
  } catch (error) {
    return [`${what} fails: ${(error as Error).message}`];
  }
}
