import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { Turns } from "../../../src/agent/turns.ts";

describe("Turns", () => {
  it("makes one turn of changes that come together, and one of a change that comes during a turn", async () => {
    const turns = new Turns(new AbortController().signal, 20);
    turns.poke();
    turns.poke();
    expect(await turns.next(10_000)).toBe(true);
    turns.poke();
    expect(await turns.next(10_000)).toBe(true);
  });

  it("ends a wait with the next change, or after the time", async () => {
    const turns = new Turns(new AbortController().signal, 1);
    const next = turns.next(10_000);
    turns.poke();
    expect(await next).toBe(true);
    expect(await turns.next(1)).toBe(true);
  });

  it("ends with the signal, before, during and after a wait, and leaves one listener", async () => {
    const abort = new AbortController();
    const turns = new Turns(abort.signal, 0);
    for (let turn = 0; turn < 50; turn++) expect(await turns.next(0)).toBe(true);
    expect(getEventListeners(abort.signal, "abort")).toHaveLength(1);
    const next = turns.next(10_000);
    abort.abort();
    expect(await next).toBe(false);
    expect(await turns.next(10_000)).toBe(false);
  });
});
