/** The next sandbox of a pod with fixed addresses, while the previous one still exists: every step of its ADD. */
import { describe, test } from "vitest";
import { FakeChain, type Pod } from "../../lib/fake/chain.ts";
import { timeoutMs } from "../../lib/faults/reliability.ts";
import {
  checkEach,
  counters,
  errorsAt,
  killsAt,
  mustBe,
  mustServe,
  mustSucceed,
  pick,
  stepsIn,
  troubleOf,
} from "./cases.ts";

const { kills, errors } = counters("model-takeover");

const old: Pod = { name: "c1", pod: "web-0", hostPort: 8080, fixed: "10.65.0.50,fd65::50" };
const next: Pod = { ...old, name: "c2" };

/** The state with the earlier sandbox served. */
function served(): FakeChain {
  const made = new FakeChain([old, next]);
  mustSucceed(made.add(old));
  return made;
}

/** The node's state after its only pod was deleted. */
function emptied(): string {
  const made = served();
  mustSucceed(made.del(old));
  return made.state();
}

const endings: Readonly<Record<string, (made: FakeChain) => void>> = {
  "the late DEL, then ADD"(made) {
    mustSucceed(made.del(old));
    mustSucceed(made.add(next));
    mustServe(made, next);
    mustSucceed(made.del(next));
  },
  "ADD, then the late DEL"(made) {
    mustSucceed(made.add(next));
    mustSucceed(made.del(old));
    mustServe(made, next);
    mustSucceed(made.del(next));
  },
  "both DELs"(made) {
    mustSucceed(made.del(next));
    mustSucceed(made.del(old));
  },
  GC: (made) => mustSucceed(made.gc([])),
};

describe("chain ADD of a pod's next sandbox, with the fixed addresses of the one before", () => {
  const before = emptied();
  const steps = stepsIn(served().add(next));
  const kinds = Object.keys(endings);

  test("takes them over, and the late DEL of the one before leaves them", () => {
    const made = served();
    mustSucceed(made.add(next));
    mustServe(made, next);
    mustSucceed(made.del(old));
    mustServe(made, next);
    mustSucceed(made.del(next));
    mustBe(made.state(), before, "left");
  });

  test("that is killed at any step leaves nothing, whatever comes next", { timeout: timeoutMs }, async () => {
    const cases = killsAt(steps).flatMap((one, index) =>
      pick(kinds, index).map((kind) => ({ ...one, kind, text: `${one.text}, then ${kind}` })),
    );
    await checkEach(kills, cases, (one) => {
      const made = served();
      made.add(next, troubleOf(one));
      endings[one.kind]?.(made);
      mustBe(made.state(), before, "left");
    });
  });

  test("that fails at any step leaves nothing, whatever comes next", { timeout: timeoutMs }, async () => {
    const cases = errorsAt(steps).map((one, index) => ({ ...one, kind: kinds[index % kinds.length] ?? "" }));
    await checkEach(errors, cases, (one) => {
      const made = served();
      made.add(next, troubleOf(one));
      endings[one.kind]?.(made);
      mustBe(made.state(), before, "left");
    });
  });
});
