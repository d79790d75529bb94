/** Whichever step of `apply` fails, nothing is left; and a random walk of operations leaves the same state as its survivors alone. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Plan } from "../../../src/plan/resource.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";
import { howMany } from "../../lib/how-many.ts";
import {
  type Applied,
  applied,
  differences,
  endpointPlan,
  newSetup,
  ownedLinks,
  refusalOf,
  removeLink,
  type Scene,
  shapingOf,
} from "./scene.ts";

/** The steps of a complete `apply` of this plan. */
function stepsOf(plan: Plan, prepare: (setup: ReturnType<typeof newSetup>) => void): number {
  const setup = newSetup();
  prepare(setup);
  const before = setup.sys.steps;
  applied(setup, plan);
  return setup.sys.steps - before;
}

const shaping: Plan = {
  owner: "tortie:net/c5/eth0",
  resources: [
    ...shapingOf("cali5", "bwp5"),
    { kind: "route", at: "host", link: "cali5", destination: "10.1.0.0/24" },
    { kind: "address", at: "sandbox", link: "eth0", address: "10.9.0.5/24" },
  ],
};
const bare: Plan = {
  ...endpointPlan(),
  resources: endpointPlan()
    .resources.filter(({ kind }) => !["ifb", "redirect", "qdisc"].includes(kind))
    .filter((resource) => resource.kind !== "up" || resource.link !== "bwp5"),
};

test.each<[string, Plan, Plan | undefined]>([
  ["a whole endpoint", endpointPlan(), undefined],
  ["what a later plugin adds to it", shaping, bare],
])("apply() of %s that fails at any step restores the kernel exactly", (_, plan, earlier) => {
  const prepare = (setup: ReturnType<typeof newSetup>) => {
    if (earlier) applied(setup, earlier);
  };
  const steps = stepsOf(plan, prepare);
  expect(steps).toBeGreaterThan(4);
  for (let step = 1; step <= steps; step++) {
    const setup = newSetup();
    prepare(setup);
    const before = setup.machine.kernel.print();
    setup.sys.failAt(setup.sys.steps + step, "ENOMEM");
    const { kind, message } = refusalOf(() => applied(setup, plan));
    expect([step, kind]).toEqual([step, "refused"]);
    expect(message).toMatch(/^cannot .*Out of memory|Cannot allocate memory/);
    expect(setup.machine.kernel.print()).toBe(before);
    applied(setup, plan);
    expect(differences(setup, plan)).toEqual([]);
  }
});

type Step = readonly [operation: "apply" | "undo" | "remove" | "sandbox ends", id: number];

test("apply(), undo() and remove(): after any sequence over k attachments, only the survivors' objects are left", () => {
  const ids = [1, 2, 3];
  const operation = fc.constantFrom("apply", "apply", "undo", "remove", "sandbox ends" as const);
  const walk = fc.array(fc.tuple(operation, fc.constantFrom(...ids)), { maxLength: 25 });
  fc.assert(
    fc.property(walk, (steps: readonly Step[]) => {
      const walked = new Walk(ids);
      for (const step of steps) walked.take(step);
      const direct = new Walk(ids);
      for (const id of [...walked.live.keys()].sort()) direct.take(["apply", id]);
      for (const id of walked.ended) direct.take(["sandbox ends", id]);
      expect(walked.print()).toBe(direct.print());
      expect(walked.owners()).toEqual(direct.owners());
    }),
    { numRuns: howMany(150) },
  );
});

class Walk {
  readonly live = new Map<number, Applied>();
  readonly ended = new Set<number>();
  readonly #machine = new FakeMachine();
  readonly #sys = new FakeSys({ machine: this.#machine });
  readonly #scenes = new Map<number, Scene>();

  constructor(ids: readonly number[]) {
    for (const id of ids) {
      const sandbox = this.#sys.openNetns(this.#machine.addSandbox(`pod${id}`));
      this.#scenes.set(id, { sys: this.#sys, sandbox });
    }
  }

  take([operation, id]: Step): void {
    const scene = this.#scenes.get(id);
    const plan = endpointPlan(id);
    if (operation === "sandbox ends") this.#end(id);
    else if (scene === undefined) return;
    else if (operation === "apply") {
      const result = applied({ scene }, plan);
      if (!this.live.has(id)) this.live.set(id, result);
      expect(differences({ scene }, plan)).toEqual([]);
    } else if (operation === "undo") {
      this.live.get(id)?.undo();
      this.live.delete(id);
    } else {
      const owned = () => this.owners().filter((one) => one.endsWith(` ${plan.owner}`)).length;
      expect(owned()).toBe(this.live.has(id) ? 2 : 0);
      for (const name of [`bwp${id}`, `cali${id}`]) removeLink({ sys: this.#sys }, name, plan.owner);
      expect(owned()).toBe(0);
      this.live.delete(id);
    }
  }

  /** The sandbox's links are deleted with it, and so are their peers on the host; an ifb is removed by the runtime's DEL. */
  #end(id: number): void {
    if (this.ended.has(id)) return;
    const owner = endpointPlan(id).owner;
    removeLink({ sys: this.#sys }, `bwp${id}`, owner);
    this.#machine.removeSandbox(`/var/run/netns/pod${id}`);
    this.#scenes.delete(id);
    this.live.delete(id);
    this.ended.add(id);
  }

  /** Sysctls of a sandbox outlive its endpoint; they belong to the runtime. */
  print(): string {
    return this.#machine.kernel.print();
  }

  owners(): readonly string[] {
    return [...ownedLinks({ sys: this.#sys }, "tortie:")].sort();
  }
}
