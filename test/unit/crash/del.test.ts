import { describe, test } from "vitest";
import { timeoutMs } from "../../lib/faults/reliability.ts";
import {
  type Case,
  checkEach,
  counters,
  del,
  errorsAt,
  type FollowUp,
  followUps,
  killsAt,
  mustBe,
  mustServe,
  newChain,
  type Operation,
  pick,
  pod,
  scenes,
  stepsOf,
  troubleOf,
  withPod,
} from "./cases.ts";

const { kills, errors } = counters("model-del");

describe.each(scenes)("chain on $name", (scene) => {
  const before = newChain(scene).state();
  const served = withPod(scene);
  const gc: Operation = (made, trouble) => made.gc(scene.others, trouble);

  test.each<[string, Operation]>([
    ["DEL", del],
    ["GC", gc],
  ])(
    "%s that is killed or fails at any step is completed by DEL, by GC and by the next ADD",
    { timeout: timeoutMs },
    async (name, operation) => {
      const steps = stepsOf(served, operation);
      const judge = (one: Case, index: number) => {
        for (const kind of pick(Object.keys(followUps) as FollowUp[], index)) {
          const made = newChain(served);
          const { failed } = operation(made, troubleOf(one));
          if (failed === undefined) mustBe(made.state(), before, `left by a ${name} that said that all was well`);
          mustServe(made, ...scene.others);
          followUps[kind](made);
          mustBe(made.state(), before, `left after ${kind}`);
          mustServe(made, ...scene.others);
        }
      };
      await checkEach(kills, killsAt(steps), judge);
      await checkEach(errors, errorsAt(steps), judge);
    },
  );

  test.each<[string, Operation]>([
    ["CHECK", (made, trouble) => made.check(pod, trouble)],
    ["STATUS", (made, trouble) => made.status(trouble)],
  ])("%s that is killed or fails at any step changes nothing", { timeout: timeoutMs }, async (_, operation) => {
    const made = newChain(served);
    const state = made.state();
    const steps = stepsOf(served, operation);
    const judge = (one: Case) => {
      operation(made, troubleOf(one));
      mustBe(made.state(), state, "changed");
    };
    await checkEach(kills, killsAt(steps), judge);
    await checkEach(errors, errorsAt(steps), judge);
  });
});
