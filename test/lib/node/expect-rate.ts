/** Checks that a rate limit is in force: exactly, by the kernel's settings, and roughly, by traffic. */
import { expect } from "vitest";
import type { Node } from "./netns.ts";
import { measureRate, type Spot } from "./traffic.ts";

/**
 * Measures until the rate is right, at most four times: on a busy machine a one-second measurement is too low, and too high while a burst of
 * 512 MB lasts. It distinguishes a limit from none, from another pod's limit, and from one in bytes instead of bits.
 */
export function expectRate(node: Node, from: Spot, to: Spot, address: string, bitsPerSecond: number): void {
  const [least, most] = [0.6 * bitsPerSecond, 1.4 * bitsPerSecond];
  const measure = () => measureRate(node, from, to, address, { seconds: 1 }).bitsPerSecond;
  let measured = measure();
  for (let turn = 1; turn < 4 && (measured < least || measured > most); turn++) measured = measure();
  expect(measured).toBeGreaterThan(least);
  expect(measured).toBeLessThan(most);
}

/** The rates of the node's token buckets, in bits per second, smallest first: on the pods' interfaces, and on the ifb links. */
export function queueRates(node: Node): { readonly toPods: readonly number[]; readonly fromPods: readonly number[] } {
  type Qdisc = { readonly kind: string; readonly dev: string; readonly options: { readonly rate: number } };
  const buckets = (JSON.parse(node.sh("tc -j qdisc show")) as readonly Qdisc[]).filter(({ kind }) => kind === "tbf");
  const rates = (isIfb: boolean) =>
    buckets
      .filter(({ dev }) => dev.startsWith("bwp") === isIfb)
      .map(({ options }) => options.rate * 8)
      .sort((a, b) => a - b);
  return { toPods: rates(false), fromPods: rates(true) };
}
