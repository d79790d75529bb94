import { beforeEach, describe, expect, test } from "vitest";
import { FakeChain, type Pod } from "../../lib/fake/chain.ts";

const old: Pod = { name: "c1", pod: "web-0", hostPort: 8080 };
const young: Pod = { ...old, name: "c2" };
const stranger: Pod = { ...old, name: "c3", pod: "db-0" };

let chain: FakeChain;

beforeEach(() => {
  chain = new FakeChain([old, young, stranger]);
  chain.add(old);
});

/** The pod is served before and after the late DEL of the old one; then nothing is left of either. */
function expectTakeoverBy(pod: Pod): void {
  expect(chain.add(pod).failed).toBeUndefined();
  expect(chain.check(pod).failed).toBeUndefined();
  expect(chain.del(old).failed).toBeUndefined();
  expect(chain.check(pod).failed).toBeUndefined();
  chain.del(pod);
  expect(chain.state()).toBe(new FakeChain([]).state());
}

describe("portmap", () => {
  test("takes host ports over from an earlier sandbox of the same pod, and its late DEL leaves them", () => {
    expectTakeoverBy(young);
  });

  test("takes none from another pod, and says who has it", () => {
    const { failed, json } = chain.add(stranger);
    expect(failed).toBe("portmap");
    expect(json.msg).toContain('it is taken by container "c1"');
    expect(chain.check(old).failed).toBeUndefined();
  });

  test("takes host ports over from whom a GC that was killed left with nothing else, and its late DEL leaves them", () => {
    chain.gc([], { member: "portmap", faults: [{ step: 1, kill: "before" }] });
    expectTakeoverBy(stranger);
  });

  test("takes none from a pod without a record whose address is on the host", () => {
    chain.node.machine.files.removeFile("/run/tortie/endpoints/net1:c1:eth0.json");
    expect(chain.add(stranger).failed).toBe("portmap");
    // Its own next sandbox takes over the interface first, so the address no longer exists.
    expect(chain.add(young).failed).toBeUndefined();
  });
});
