import { describe, expect, test, vi } from "vitest";
import { remembering } from "../../../src/net/remembering.ts";

describe("remembering()", () => {
  test("computes once for each text", () => {
    const compute = vi.fn((text: string) => ({ text }));
    const remembered = remembering(compute);
    expect(remembered("a")).toBe(remembered("a"));
    expect(remembered("b")).toEqual({ text: "b" });
    expect(compute).toHaveBeenCalledTimes(2);
  });

  test("forgets when there are many, and goes on", () => {
    const remembered = remembering((text) => ({ text }));
    const first = remembered("0");
    for (let at = 1; at < 1000; at++) expect(remembered(`${at}`)).toEqual({ text: `${at}` });
    expect(remembered("0")).toEqual(first);
    expect(remembered("0")).not.toBe(first);
  });

  test("remembers no error", () => {
    let fails = true;
    const remembered = remembering((text) => {
      if (fails) throw new Error("not yet");
      return text;
    });
    expect(() => remembered("a")).toThrow("not yet");
    fails = false;
    expect(remembered("a")).toBe("a");
  });
});
