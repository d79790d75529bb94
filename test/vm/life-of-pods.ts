/** The life of three pods in one chain, on any kernel. */
import { expect, test } from "vitest";
import type { Conflist } from "../lib/conflist.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { answers, ask, measureRate, ping } from "../lib/node/traffic.ts";
import type { CniResult } from "../lib/runtimes/runner.ts";
import {
  byIptables,
  expectClean,
  type Family,
  families,
  megabit,
  newPod,
  type Pod,
  refusal,
  requests,
  serve,
  stage,
} from "./stage.ts";

/** The tests of a chain, which depend on each other. */
export function lifeOfPods(list: Conflist, among: readonly Family[]): void {
  let pods: readonly Pod[] = [];
  const results = new Map<string, CniResult>();
  const [first, second] = [() => pods[0] as Pod, () => pods[1] as Pod];
  const address = (pod: { readonly name: string }, family: Family): string =>
    (results.get(pod.name)?.ips ?? [])
      .map((ip) => ip.address.replace(/\/.*/, ""))
      .find((each) => each.includes(":") === (family === 6)) ?? "none";
  const hostInterface = (): string => results.get(first().name)?.interfaces?.[0]?.name ?? "none";
  const add = (pod: Pod): CniResult => {
    const result = stage.runner.add(list, pod);
    results.set(pod.name, result);
    return result;
  };

  test("ADD of two pods, CHECK", () => {
    stage.guest.sh("rm -rf /run/tortie /var/lib/tortie");
    stage.clean = snapshot(stage.guest);
    stage.runner.status(list);
    pods = [newPod("p1", requests(8080)), newPod("p2", requests(8090))];
    for (const pod of pods) add(pod);
    for (const pod of pods) stage.runner.check(list, pod);
    for (const pod of pods) serve(pod.name, 80);
  });

  test.each(among)("ping: pod, node and outside of IPv%s", (family) => {
    const { node, outside } = families[family];
    expect(ping(stage.guest, "p1", address(second(), family)), "from pod to pod").toBe(true);
    expect(ping(stage.guest, "p1", node), "from pod to node").toBe(true);
    expect(ping(stage.guest, undefined, address(first(), family)), "from node to pod").toBe(true);
    expect(ping(stage.guest, "p1", outside), "from pod to outside").toBe(true);
  });

  test.each(among)("natOutgoing of IPv%s: the outside sees the node, pods see each other", (family) => {
    serve("outside", 7000);
    expect(ask(stage.guest, "p1", families[family].outside, 7000)).toBe(`outside sees ${families[family].node}`);
    expect(ask(stage.guest, "p2", address(first(), family), 80)).toBe(`p1 sees ${address(second(), family)}`);
  });

  test.each(among)("a host port of IPv%s: from outside, the node, 127.0.0.1, another pod, the pod itself", (family) => {
    const { node, outside } = families[family];
    expect(ask(stage.guest, "outside", node, 8080)).toBe(`p1 sees ${outside}`);
    for (const from of [undefined, "p1", "p2"]) expect(ask(stage.guest, from, node, 8080)).toContain("p1 sees");
    if (family === 4) expect(ask(stage.guest, undefined, "127.0.0.1", 8080)).toContain("p1 sees");
    expect(ask(stage.guest, "outside", node, 8090)).toContain("p2 sees");
  });

  test("rate limits are effective", () => {
    const [family = 4] = among;
    const { bitsPerSecond } = measureRate(stage.guest, "p1", "outside", families[family].outside, {
      least: 15 * megabit,
    });
    // A guest on a busy machine may not reach its limit.
    expect(bitsPerSecond / megabit).toBeGreaterThan(5);
    expect(bitsPerSecond / megabit).toBeLessThan(21.5);
  });

  test("a repeated ADD returns the same result and changes nothing", () => {
    const before = snapshot(stage.guest, { files: false });
    const answered = results.get("p1");
    expect(add(first())).toEqual(answered);
    expect(diff(before, snapshot(stage.guest, { files: false }))).toBe("");
    stage.runner.check(list, first());
  });

  test("CHECK reports a missing route, qdisc, host port; the next ADD repairs them", () => {
    const [family = 4] = among;
    const losses: readonly (readonly [string, string])[] = [
      ["calico", `ip -${family} route del ${address(first(), family)} dev ${hostInterface()}`],
      ["bandwidth", `tc qdisc del dev ${hostInterface()} root`],
      ...(list === byIptables ? [] : ([["portmap", "nft flush map ip tortie_portmap ports"]] as const)),
      ...(list === byIptables ? [] : ([["calico", "nft delete table ip tortie"]] as const)),
    ];
    for (const [plugin, loss] of losses) {
      stage.guest.sh(loss);
      const refused = refusal(() => stage.runner.check(list, first()));
      expect([refused.call.plugin, refused.code], loss).toEqual([plugin, 101]);
      for (const pod of pods) add(pod);
      stage.runner.check(list, first());
    }
  });

  test("ADD rejects a host port that is in use, and leaves nothing", () => {
    const before = snapshot(stage.guest, { files: false });
    const third = newPod("p3", requests(8080));
    expect(refusal(() => stage.runner.add(list, third)).message).toContain("taken");
    stage.runner.del(list, third);
    stage.guest.removePod("p3");
    expect(diff(before, snapshot(stage.guest, { files: false }))).toBe("");
  });

  test("GC removes attachments that are not valid and keeps the others", () => {
    stage.runner.gc(list, [first()]);
    stage.runner.check(list, first());
    expect(answers(stage.guest, "outside", families[among[0] ?? 4].node, 8090)).toBe(false);
    for (const family of among) expect(ask(stage.guest, "outside", families[family].node, 8080)).toContain("p1 sees");
  });

  test("DEL, with and without the namespace; nothing is left", () => {
    stage.guest.removePod("p1");
    for (const pod of pods) for (const netns of [pod.netns, ""]) stage.runner.del(list, { ...pod, netns });
    stage.guest.removePod("p2");
    stage.guest.sh("for process in $(ip netns pids outside); do kill $process; done");
    expectClean();
  });
}
