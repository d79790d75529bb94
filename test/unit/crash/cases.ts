/**
 * Every step of every operation of the whole chain, on the model of the kernel: killed there, failing there with each errno, or with a message
 * that the kernel refuses. The tests define the follow-up, and verify that nothing is left.
 *
 * With TORTIE_CRASH=full (`npm run crash`) every case is tried. Otherwise each step has one follow-up and one errno in turn, and each test tries
 * some of these cases, evenly spread: a few, or many (`how-many.ts` in test/lib).
 */
import { afterAll, expect } from "vitest";
import { type ChainFault, FakeChain, type Member, mainPlugins, type Outcome, type Pod } from "../../lib/fake/chain.ts";
import { type Fault, faultText, killsOf, type Step } from "../../lib/faults/fault.ts";
import { Counter, isFull } from "../../lib/faults/reliability.ts";
import { evenly, howMany } from "../../lib/how-many.ts";

export const pod: Pod = { name: "c1", pod: "web-0", hostPort: 8080 };
/** The next sandbox of the same pod. */
const next: Pod = { ...pod, name: "c2" };
const other: Pod = { name: "c3", pod: "db-0", hostPort: 9090 };

/** The state before the fault. */
export interface Scene {
  readonly name: string;
  readonly others: readonly Pod[];
  readonly isPodServed: boolean;
  /** Default: eth0. */
  readonly ifname?: string;
  /** Default: calico. */
  readonly main?: Member;
}

export const scenes: readonly Scene[] = [
  { name: "an empty node", others: [], isPodServed: false },
  { name: "a node with another pod", others: [other], isPodServed: false },
  { name: "an empty node, with a further interface", others: [], isPodServed: false, ifname: "net1" },
  ...mainPlugins
    .slice(1)
    .map((main) => ({ name: `a node with another pod, both by ${main}`, others: [other], isPodServed: false, main })),
];

export function withPod(scene: Scene): Scene {
  return { ...scene, name: `${scene.name} that serves the pod`, isPodServed: true };
}

export function newChain({ others, isPodServed, ifname, main }: Scene): FakeChain {
  const made = new FakeChain([pod, next, other], ifname, main);
  for (const one of [...others, ...(isPodServed ? [pod] : [])]) mustSucceed(made.add(one));
  return made;
}

export type Operation = (chain: FakeChain, trouble?: ChainFault) => Outcome;

export const add: Operation = (made, trouble) => made.add(pod, trouble);
export const del: Operation = (made, trouble) => made.del(pod, trouble);

/** One possible fault, and its description. */
export interface Case {
  readonly text: string;
  readonly member: Member;
  readonly fault: Fault;
}

export interface TakenStep {
  readonly member: Member;
  readonly number: number;
  readonly step: Step;
}

/** The steps of an operation without faults. */
export function stepsOf(scene: Scene, operation: Operation): readonly TakenStep[] {
  const outcome = operation(newChain(scene));
  mustSucceed(outcome);
  return stepsIn(outcome);
}

export function stepsIn({ steps }: Outcome): readonly TakenStep[] {
  return [...steps].flatMap(([member, taken]) => taken.map((step, index) => ({ member, number: index + 1, step })));
}

export function killsAt(steps: readonly TakenStep[]): readonly Case[] {
  return steps.flatMap(({ member, number, step }) =>
    killsOf(step).map((kill) => caseOf(member, step, { step: number, kill })),
  );
}

const errnos = ["ENOSPC", "EROFS", "EMFILE", "EINTR", "ENOBUFS", "EPERM", "ENODEV", "EBUSY", "ETIMEDOUT"] as const;
/** Without ENODEV and ENOENT: the kernel uses these for missing objects only, and these objects exist. */
const refusals = ["EPERM", "EBUSY", "ENOBUFS", "ENOSPC", "ENOMEM"] as const;
/** Calls that cannot fail. */
const releases = ["unlock", "close", "closeNetns"];

export function errorsAt(steps: readonly TakenStep[]): readonly Case[] {
  return steps.flatMap(({ member, number, step }) => {
    if (releases.includes(step.call)) return [];
    const failing = pick(errnos, number).map((errno) => caseOf(member, step, { step: number, errno }));
    const refused = Array.from({ length: step.messages ?? 0 }, (_, message) =>
      pick(refusals, number + message).map((errno) => caseOf(member, step, { step: number, errno, message })),
    );
    return [...failing, ...refused.flat()];
  });
}

function caseOf(member: Member, { call, object }: Step, fault: Fault): Case {
  return { member, fault, text: `${member} ${faultText(fault)} ${call} ${object}`.trim() };
}

export function troubleOf({ member, fault }: Case, ...more: readonly Fault[]): ChainFault {
  return { member, faults: [fault, ...more] };
}

/** All of them, or the one whose turn it is. */
export function pick<T>(all: readonly T[], turn: number): readonly T[] {
  return isFull ? all : [all[turn % all.length] as T];
}

/** All of them, or `count`, evenly spread. */
export function sample<T>(all: readonly T[], count: number): readonly T[] {
  return isFull ? all : evenly(all, count);
}

/** The counts of one part of the tests; recorded after its tests. */
export function counters(part: string): { readonly kills: Counter; readonly errors: Counter } {
  const [kills, errors] = [new Counter(), new Counter()];
  afterAll(() => {
    kills.record(`${part}-kill`, "model-kill");
    errors.record(`${part}-error`, "model-error");
  });
  return { kills, errors };
}

/** Per test, if not all are tried. */
const tried = howMany(24);

/** Runs `judge` for each case, and throws one error for all failures. Adds the number of cases to the counter. */
export async function checkEach<C extends { readonly text: string }>(
  counter: Counter,
  cases: readonly C[],
  judge: (one: C, index: number) => void,
): Promise<void> {
  const failures: string[] = [];
  const sampled = sample(cases, tried);
  for (const [index, one] of sampled.entries()) {
    // Let the test runner communicate, also on a busy machine.
    await new Promise(setImmediate);
    try {
      judge(one, index);
    } catch (error) {
      failures.push(`${one.text}: ${error instanceof Error ? error.message : error}`);
    }
  }
  counter.add({ tried: sampled.length, left: failures.length });
  expect(failures).toEqual([]);
  expect(sampled.length).toBeGreaterThan(0);
}

export function mustSucceed({ failed, json }: Outcome): void {
  if (failed !== undefined) throw new Error(`${failed} failed: ${JSON.stringify(json)}`);
}

/** Throws with the lines that differ. */
export function mustBe(found: string, wanted: string, what: string): void {
  if (found === wanted) return;
  const [has, had] = [found.split("\n"), wanted.split("\n")];
  const lines = [
    ...had.filter((line) => !has.includes(line)).map((line) => `- ${line}`),
    ...has.filter((line) => !had.includes(line)).map((line) => `+ ${line}`),
  ];
  throw new Error(`${what}: ${lines.join(" | ")}`);
}

export function mustServe(made: FakeChain, ...pods: readonly Pod[]): void {
  for (const one of pods) {
    const { failed, json } = made.check(one);
    if (failed !== undefined) throw new Error(`${one.name} is not served, says ${failed}: ${json?.msg}`);
  }
}

/** The follow-ups of a process that was killed or failed; after each, nothing of the pod is left. */
export const followUps: Readonly<Record<"DEL" | "GC" | "ADD" | "ADD of the next sandbox", (made: FakeChain) => void>> =
  {
    DEL: (made) => mustSucceed(made.del(pod)),
    GC: (made) => mustSucceed(made.gc(made.results.has(other.name) ? [other] : [])),
    ADD(made) {
      mustSucceed(made.add(pod));
      mustServe(made, pod);
      mustSucceed(made.del(pod));
    },
    "ADD of the next sandbox"(made) {
      mustSucceed(made.add(next));
      mustServe(made, next);
      mustSucceed(made.del(pod));
      mustServe(made, next);
      mustSucceed(made.del(next));
    },
  };

export type FollowUp = keyof typeof followUps;
