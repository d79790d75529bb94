/**
 * A storm: ADDs and DELs in parallel waves against many sandboxes, by a runtime that does most things wrong, while GC runs.
 *
 *     8 workers ── each takes an idle sandbox, attaches or detaches it in one of the ways below ──────────────┐
 *     1 worker  ── GC, again and again, with all that lives or may soon live ─────────────────────────────────┴─► failures, survivors
 *
 * **Invariants**: an undisturbed ADD succeeds, DEL always does, and every attachment without a DEL is served at the end.
 */
import type { Conflist } from "../lib/conflist.ts";
import type { Node } from "../lib/node/netns.ts";
import type { Random } from "../lib/random.ts";
import {
  type CniResult,
  gcRequestOf,
  noSandbox,
  type Runner,
  requestOf,
  type Sandbox,
} from "../lib/runtimes/runner.ts";
import { described, type PodSandbox } from "./sandbox.ts";

export interface StormOptions {
  readonly node: Node;
  readonly runner: Runner;
  readonly list: Conflist;
  readonly random: Random;
  readonly sandboxes: number;
  readonly operations: number;
}

export interface Survivor {
  readonly sandbox: PodSandbox;
  readonly result: CniResult;
}

export interface Aftermath {
  readonly operations: number;
  readonly collections: number;
  /** How often each way was used. */
  readonly ways: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
  readonly survivors: readonly Survivor[];
}

const parallel = 8;
/** A GC may last longer than a sandbox, so this many of a place's next ones count as valid. */
const foreseen = 8;

type Way = (place: Place) => Promise<void>;

/** One pod and its sandboxes, one after the other. */
interface Place {
  readonly index: number;
  generation: number;
  isBusy: boolean;
  attached: Survivor | undefined;
}

export class Storm {
  readonly #options: StormOptions;
  readonly #places: readonly Place[];
  readonly #failures: string[] = [];
  readonly #ways: Record<string, number> = {};
  /** Containers that never get a DEL. */
  readonly #abandoned = new Set<string>();
  #operations = 0;
  #collections = 0;

  constructor(options: StormOptions) {
    this.#options = options;
    this.#places = Array.from({ length: options.sandboxes }, (_, index) => ({
      index,
      generation: 0,
      isBusy: false,
      attached: undefined,
    }));
  }

  async rage(): Promise<Aftermath> {
    const { node, operations } = this.#options;
    for (const place of this.#places) node.addPod(this.#sandboxOf(place).pod);
    let isOver = false;
    const workers = Array.from({ length: parallel }, () => this.#work());
    const collector = (async () => {
      while (!isOver) await this.#collect();
    })();
    await Promise.all(workers);
    isOver = true;
    await collector;
    const survivors = this.#places.flatMap(({ attached }) => (attached === undefined ? [] : [attached]));
    if (this.#operations < operations) throw new Error(`a storm of ${this.#operations} operations`);
    return {
      operations: this.#operations,
      collections: this.#collections,
      ways: this.#ways,
      failures: this.#failures,
      survivors,
    };
  }

  async #work(): Promise<void> {
    const { random, operations } = this.#options;
    while (this.#operations < operations) {
      const place = random.pick(this.#places.filter(({ isBusy }) => !isBusy));
      place.isBusy = true;
      const way = random.pick(place.attached === undefined ? this.#attaching : this.#detaching);
      this.#ways[way[0]] = (this.#ways[way[0]] ?? 0) + 1;
      try {
        await way[1](place);
      } catch (error) {
        this.#failures.push(`${way[0]} of ${this.#sandboxOf(place).containerId}: ${(error as Error).message}`);
      }
      place.isBusy = false;
    }
  }

  readonly #attaching: readonly (readonly [string, Way])[] = [
    ["ADD", (place) => this.#attach(place)],
    ["ADD", (place) => this.#attach(place)],
    ["ADD", (place) => this.#attach(place)],
    ["ADD twice", (place) => this.#attachTwice(place)],
    ["DEL before ADD", (place) => this.#del(this.#sandboxOf(place))],
    ["DEL while ADD", (place) => this.#delEarly(place)],
  ];

  readonly #detaching: readonly (readonly [string, Way])[] = [
    ["DEL", (place) => this.#detach(place)],
    ["DEL twice", (place) => this.#detachTwice(place)],
    ["DEL beside DEL", (place) => this.#detachBeside(place)],
    ["DEL late", (place) => this.#detachLate(place)],
    ["namespace vanished", (place) => this.#vanish(place, "ip netns del")],
    ["stale mount point", (place) => this.#vanish(place, "umount /run/netns/")],
    ["wrong prevResult", (place) => this.#detach(place, this.#resultOfAnother(place))],
    ["no prevResult", (place) => this.#detach(place, undefined)],
    ["no DEL", (place) => this.#abandon(place)],
  ];

  #sandboxOf({ index, generation }: Place, later = 0): PodSandbox {
    const sandbox = generation + later;
    return described(`storm${index}-${sandbox}`, 1 + index + sandbox * this.#options.sandboxes, `web-${index}`);
  }

  async #attach(place: Place): Promise<void> {
    const sandbox = this.#sandboxOf(place);
    place.attached = { sandbox, result: await this.#add(sandbox) };
  }

  async #attachTwice(place: Place): Promise<void> {
    const sandbox = this.#sandboxOf(place);
    const first = await this.#add(sandbox);
    place.attached = { sandbox, result: first };
    const second = await this.#add(sandbox);
    if (JSON.stringify(first) !== JSON.stringify(second)) throw new Error("the second ADD answers otherwise");
  }

  /** DEL during ADD, and again after ADD has ended, whatever its result. */
  async #delEarly(place: Place): Promise<void> {
    const sandbox = this.#sandboxOf(place);
    const adding = this.#add(sandbox).catch(() => undefined);
    await pause(this.#options.random.below(30));
    const deleting = this.#del(sandbox);
    await Promise.all([adding, deleting.catch(() => undefined)]);
    await this.#del(sandbox);
    await deleting;
  }

  async #detach(place: Place, prevResult = place.attached?.result): Promise<void> {
    const sandbox = this.#sandboxOf(place);
    place.attached = undefined;
    await this.#del(sandbox, prevResult);
  }

  async #detachTwice(place: Place): Promise<void> {
    await this.#detach(place);
    await this.#detach(place);
  }

  async #detachBeside(place: Place): Promise<void> {
    const sandbox = this.#sandboxOf(place);
    const result = place.attached?.result;
    place.attached = undefined;
    await Promise.all([this.#del(sandbox, result), this.#del(sandbox, result)]);
  }

  /** DEL of the old sandbox after ADD of the pod's next one. */
  async #detachLate(place: Place): Promise<void> {
    const { pod, ...old } = this.#sandboxOf(place);
    const result = place.attached?.result;
    place.attached = undefined;
    this.#renew(place);
    await this.#attach(place);
    await this.#del(old, result);
    this.#options.node.removePod(pod);
  }

  async #vanish(place: Place, how: string): Promise<void> {
    const { node } = this.#options;
    const { pod, netns, ...rest } = this.#sandboxOf(place);
    const result = place.attached?.result;
    place.attached = undefined;
    node.sh(how.endsWith("/") ? `${how}${pod}` : `${how} ${pod}`);
    await this.#del({ netns, ...rest }, result);
    node.sh(`rm -f ${netns}`);
    this.#renew(place);
  }

  /** Leaves an attachment that only GC removes. */
  async #abandon(place: Place): Promise<void> {
    const { pod, containerId } = this.#sandboxOf(place);
    place.attached = undefined;
    this.#options.node.removePod(pod);
    this.#abandoned.add(containerId);
    this.#renew(place);
  }

  #renew(place: Place): void {
    place.generation++;
    this.#options.node.addPod(this.#sandboxOf(place).pod);
  }

  #resultOfAnother(place: Place): CniResult | undefined {
    const others = this.#places.filter((each) => each !== place && each.attached !== undefined);
    return others.length === 0 ? undefined : this.#options.random.pick(others).attached?.result;
  }

  async #add(sandbox: Sandbox): Promise<CniResult> {
    this.#operations++;
    const { runner, list } = this.#options;
    let prevResult: CniResult | undefined;
    for (const plugin of list.plugins) {
      const request = requestOf(list, plugin, { sandbox, prevResult });
      const call = await runner.tryExecBeside("ADD", plugin.type, request, sandbox);
      if (call.status !== 0) throw new Error(`${plugin.type} answers ADD by ${call.stdout}${call.stderr}`);
      prevResult = JSON.parse(call.stdout) as CniResult;
    }
    return prevResult ?? {};
  }

  /** Calls all plugins, whatever they answer. */
  async #del(sandbox: Sandbox, prevResult?: CniResult): Promise<void> {
    this.#operations++;
    const { runner, list } = this.#options;
    const answers: string[] = [];
    for (const plugin of [...list.plugins].reverse()) {
      const request = requestOf(list, plugin, { sandbox, prevResult });
      const call = await runner.tryExecBeside("DEL", plugin.type, request, sandbox);
      if (call.status !== 0) answers.push(`${plugin.type} answers DEL by ${call.stdout}${call.stderr}`);
    }
    if (answers.length > 0) throw new Error(answers.join("; "));
  }

  async #collect(): Promise<void> {
    const { runner, list } = this.#options;
    const known = this.#places.flatMap((place) =>
      Array.from({ length: place.generation + foreseen }, (_, later) =>
        this.#sandboxOf(place, later - place.generation),
      ),
    );
    const valid = known.filter(({ containerId }) => !this.#abandoned.has(containerId));
    for (const plugin of list.plugins) {
      const call = await runner.tryExecBeside("GC", plugin.type, gcRequestOf(list, plugin, valid), noSandbox);
      if (call.status !== 0) this.#failures.push(`${plugin.type} answers GC by ${call.stdout}${call.stderr}`);
    }
    this.#collections++;
    await pause(20);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
