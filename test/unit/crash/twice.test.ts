/** Two faults: a failure, and a kill during its roll-back; a killed ADD, and a killed DEL. */
import { afterAll, describe, test } from "vitest";
import { type Fault, faultText } from "../../lib/faults/fault.ts";
import { Counter, isFull, timeoutMs } from "../../lib/faults/reliability.ts";
import { howMany } from "../../lib/how-many.ts";
import {
  add,
  checkEach,
  del,
  errorsAt,
  followUps,
  killsAt,
  mustBe,
  mustServe,
  newChain,
  pick,
  sample,
  scenes,
  stepsIn,
  stepsOf,
  troubleOf,
} from "./cases.ts";

const kills = new Counter();

afterAll(() => kills.record("model-twice", "model-kill"));

/** The number of first faults that are combined with each second one: all combinations would take hours. */
const first = isFull ? 40 : howMany(6);

function spread<T>(all: readonly T[], count: number): readonly T[] {
  return all.filter((_, index) => index % Math.max(1, Math.floor(all.length / count)) === 0);
}

describe.each(scenes)("chain ADD on $name", (scene) => {
  const before = newChain(scene).state();
  const steps = stepsOf(scene, add);

  test("that fails at any step and is killed while it takes things back leaves nothing after DEL and GC", {
    timeout: timeoutMs,
  }, async () => {
    const cases = spread(errorsAt(steps), first).flatMap((one) => {
      const outcome = add(newChain(scene), troubleOf(one));
      const last = outcome.steps.get(one.member)?.length ?? 0;
      if (outcome.failed === undefined) return [];
      return Array.from({ length: last - one.fault.step }, (_, after) => {
        const kill: Fault = { step: one.fault.step + 1 + after, kill: after % 2 === 0 ? "after" : "before" };
        return { ...one, kill, text: `${one.text}, then killed at ${faultText(kill)}` };
      });
    });
    await checkEach(kills, cases, (one, index) => {
      for (const kind of pick(["DEL", "GC"] as const, index)) {
        const made = newChain(scene);
        add(made, troubleOf(one, one.kill));
        followUps[kind](made);
        mustBe(made.state(), before, `left after ${kind}`);
        mustServe(made, ...scene.others);
      }
    });
  });

  test("that is killed at any step, and its DEL too, leaves nothing after the next DEL and GC", {
    timeout: timeoutMs,
  }, async () => {
    const cases = spread(killsAt(steps), first).flatMap((one) => {
      const made = newChain(scene);
      add(made, troubleOf(one));
      return sample(killsAt(stepsIn(del(made))), 20).map((second) => ({
        one,
        second,
        text: `${one.text}, then DEL: ${second.text}`,
      }));
    });
    await checkEach(kills, cases, ({ one, second }, index) => {
      for (const kind of pick(["DEL", "GC"] as const, index)) {
        const made = newChain(scene);
        add(made, troubleOf(one));
        del(made, troubleOf(second));
        followUps[kind](made);
        mustBe(made.state(), before, `left after ${kind}`);
        mustServe(made, ...scene.others);
      }
    });
  });
});
