import { describe, expect, test } from "vitest";
import type { Member } from "../../lib/fake/chain.ts";
import { timeoutMs } from "../../lib/faults/reliability.ts";
import {
  add,
  type Case,
  checkEach,
  counters,
  errorsAt,
  type FollowUp,
  followUps,
  killsAt,
  mustBe,
  mustServe,
  mustSucceed,
  newChain,
  pick,
  pod,
  type Scene,
  scenes,
  stepsOf,
  troubleOf,
  withPod,
} from "./cases.ts";

const { kills, errors } = counters("model-add");

describe.each(scenes)("chain ADD on $name", (scene) => {
  const before = newChain(scene).state();
  const steps = stepsOf(scene, add);

  test("that is killed at any step leaves nothing after DEL, GC, and the next ADD", {
    timeout: timeoutMs,
  }, async () => {
    const kinds = Object.keys(followUps) as FollowUp[];
    const cases = killsAt(steps).flatMap((one, index) =>
      pick(kinds, index).map((kind) => ({ ...one, kind, text: `${one.text}, then ${kind}` })),
    );
    await checkEach(kills, cases, (one) => {
      const made = newChain(scene);
      const { killed } = made.add(pod, troubleOf(one));
      expect(killed).toBe(true);
      followUps[one.kind](made);
      mustBe(made.state(), before, "left");
      mustServe(made, ...scene.others);
    });
  });

  test("that fails at any step leaves nothing, and one that succeeds serves", { timeout: timeoutMs }, async () => {
    await checkEach(errors, errorsAt(steps), (one) => {
      const made = newChain(scene);
      const { failed } = made.add(pod, troubleOf(one));
      if (failed === undefined) mustServe(made, pod);
      else mustBe(made.state(), stateBefore(scene, failed), `left by ${failed}`);
      mustSucceed(made.del(pod));
      mustBe(made.state(), before, "left after DEL");
      mustServe(made, ...scene.others);
    });
  });

  test("that is repeated and is killed or fails at any step leaves the pod served", {
    timeout: timeoutMs,
  }, async () => {
    const served = withPod(scene);
    const state = newChain(served).state();
    const again = stepsOf(served, add);
    // The next DEL removes an unfinished record: an ADD does not look for it.
    const halfRecord = /inside replaceFile \/run\/tortie\/endpoints\//;
    const judge = (one: Case) => {
      const made = newChain(served);
      made.add(pod, troubleOf(one));
      mustServe(made, pod, ...scene.others);
      mustSucceed(made.add(pod));
      if (!halfRecord.test(one.text)) mustBe(made.state(), state, "left");
      mustSucceed(made.del(pod));
      mustBe(made.state(), before, "left after DEL");
    };
    await checkEach(kills, killsAt(again), judge);
    await checkEach(errors, errorsAt(again), judge);
  });
});

const states = new Map<string, string>();

/** The state before this process of the chain started. */
function stateBefore(scene: Scene, member: Member): string {
  const key = `${scene.name}: ${member}`;
  let state = states.get(key);
  if (state === undefined) {
    const made = newChain(scene);
    made.add(pod, { member, faults: [{ step: 1, kill: "before" }] });
    state = made.state();
    states.set(key, state);
  }
  return state;
}
