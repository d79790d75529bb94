import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FollowedAddresses } from "../../../src/agent/start/follow-addresses.ts";
import type { NodeAddresses } from "../../../src/agent/start/node-address.ts";
import { CoreError } from "../../../src/errors/core-error.ts";

class Refused extends CoreError {
  override readonly name = "Refused";
  readonly kind = "conflict";
}

const home = { 4: "10.1.0.1/24" };
const moved = { 4: "10.1.0.9/24" };
/** A turn waits half a second for changes that come together. */
const timeout = 5000;

let ending: AbortController;
let now: NodeAddresses;
let looks: number;
let recorded: NodeAddresses[];
let lines: string[];
let refusal: string | undefined;

beforeEach(() => {
  ending = new AbortController();
  [now, looks, recorded, lines, refusal] = [home, 0, [], [], undefined];
});
afterEach(() => ending.abort());

function follow({ settleMs = 50, intervalMs = 0 } = {}): FollowedAddresses {
  const note = (_: object, message: string) => void lines.push(message);
  return new FollowedAddresses({
    ...{ addresses: home, intervalMs, settleMs, signal: ending.signal },
    log: { info: note, warn: note },
    detect: async () => {
      looks++;
      return now;
    },
    record: async (addresses) => {
      if (refusal !== undefined) throw new Refused(refusal);
      recorded.push(addresses);
    },
  });
}

test("an address that is found twice is recorded once", async () => {
  const followed = follow();
  now = moved;
  followed.poke();
  await expect.poll(() => recorded, { timeout }).toEqual([moved]);
  await expect.poll(() => followed.current).toEqual(moved);
  followed.poke();
  await expect.poll(() => looks, { timeout }).toBe(3);
  expect(recorded).toEqual([moved]);
  expect(lines).toEqual(["addresses of this node changed"]);
});

test("an interface that is down for a moment moves nothing", async () => {
  const followed = follow({ settleMs: 300 });
  now = moved;
  followed.poke();
  await expect.poll(() => looks, { timeout }).toBe(1);
  now = home;
  await expect.poll(() => looks, { timeout }).toBe(2);
  await sleep(100);
  expect([recorded, followed.current]).toEqual([[], home]);
});

test("a second family counts, and one that is gone", async () => {
  const followed = follow();
  now = { ...home, 6: "fd00::1/64" };
  followed.poke();
  await expect.poll(() => recorded, { timeout }).toEqual([{ ...home, 6: "fd00::1/64" }]);
  now = home;
  followed.poke();
  await expect.poll(() => recorded, { timeout }).toHaveLength(2);
});

test("looks at each interval, without an event", async () => {
  follow({ intervalMs: 50 });
  now = moved;
  await expect.poll(() => recorded, { timeout }).toEqual([moved]);
});

test("an address that another node has is refused with one line, and tried again", async () => {
  refusal = "cannot use address 10.1.0.9";
  const followed = follow({ intervalMs: 50 });
  now = moved;
  await expect.poll(() => looks, { timeout }).toBeGreaterThan(4);
  expect([lines, followed.current]).toEqual([["addresses not detected"], home]);
  refusal = undefined;
  await expect.poll(() => recorded, { timeout }).toEqual([moved]);
});
