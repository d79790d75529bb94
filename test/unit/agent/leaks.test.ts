import { describe, expect, test } from "vitest";
import { howMany } from "../../lib/how-many.ts";
import { randomOf, seed } from "../../lib/random.ts";
import { LeaksWalk } from "./leaks-walk.ts";

describe.each([
  ["etcd", false],
  ["Kubernetes", true],
] as const)("leaks, over %s", (_, isKubernetes) => {
  test(`what lives is never released, and what nobody has is found (seed ${seed})`, async () => {
    const walks = Array.from({ length: howMany(40) }, async (_, index) => {
      const walk = new LeaksWalk(randomOf(seed + index), isKubernetes);
      await walk.start(["n1", "n2", "n3"]);
      for (let step = 0; step < 60; step++) await walk.step();
      await walk.settle();
      expect(walk.failures).toEqual([]);
    });
    await Promise.all(walks);
  });
});
