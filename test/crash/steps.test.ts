/**
 * Every step of the whole chain on the real kernel: stopped there, or failing there with an errno that its call can give. Then DEL, GC, the same ADD
 * or that of the next sandbox: the host is as before, every address free, or the pod is served.
 *
 * Without TORTIE_CRASH=full a part of the steps is tried, evenly spread, each with the follow-up whose turn it is.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { buildCrashPlugins, crashPluginDir, switchName } from "../lib/crash-build.ts";
import { doctor } from "../lib/doctor.ts";
import { type Fault, faultText, type Step } from "../lib/fault.ts";
import { leaks } from "../lib/kept.ts";
import { Node } from "../lib/netns.ts";
import { isFull, Tally, timeoutMs } from "../lib/reliability.ts";
import { type CniResult, type Command, Runner, requestOf, type Sandbox } from "../lib/runner.ts";
import { diff, snapshot } from "../lib/snapshot.ts";
import { example, goPluginDir, ourPluginDir, requireBuild } from "../lib/suite.ts";
import { ping } from "../lib/traffic.ts";

const list = loadConflist(example("10-calico.conflist"));
const members = list.plugins.map(({ type }) => type);
/** Of each test, when not all are tried. */
const sampleSize = Number(process.env.TORTIE_CRASH_STEPS ?? 16);
let node: Node;
let clean: string;
let pod: Sandbox;
let next: Sandbox;
const stopped = new Tally();
const failedCalls = new Tally();

beforeAll(async () => {
  requireBuild();
  await buildCrashPlugins();
  node = await Node.start();
  pod = sandboxOf("old");
  next = sandboxOf("young");
  // The first pod of a node leaves what all later ones find: pools, a block.
  runner().add(list, pod);
  runner().del(list, pod);
  clean = snapshot(node);
});

afterAll(async () => {
  await node?.stop();
  stopped.record("kill", "kill");
  failedCalls.record("error", "error");
});

function sandboxOf(name: string): Sandbox {
  return {
    containerId: `${name}-0a1b2c`,
    netns: node.addPod(name),
    ifname: "eth0",
    args: [
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", "web-0"],
    ],
    capabilities: {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
      bandwidth: { ingressRate: 20e6, ingressBurst: 1e6, egressRate: 20e6, egressBurst: 1e6 },
    },
  };
}

function runner(wish?: string): Runner {
  const wrap = wish === undefined ? {} : { wrap: ["/usr/bin/env", `${switchName}=${wish}`] };
  return new Runner({ node, pluginDirs: [crashPluginDir, goPluginDir], ...wrap });
}

type Operation = "ADD" | "DEL" | "GC";

/** The chain's processes in the order of the operation; the one at `faulty` gets the wish. Ends with the first that fails. */
function operate(operation: Operation, faulty?: string, wish?: string): Map<string, ReturnType<Runner["tryExec"]>> {
  const calls = new Map<string, ReturnType<Runner["tryExec"]>>();
  let prevResult: CniResult | undefined;
  for (const type of operation === "DEL" ? [...members].reverse() : members) {
    const plugin = list.plugins.find((one) => one.type === type) as (typeof list.plugins)[number];
    const sandbox = operation === "GC" ? { containerId: "", netns: "", ifname: "" } : pod;
    const more = operation === "GC" ? { "cni.dev/valid-attachments": [] } : {};
    const request = { ...requestOf(list, plugin, { sandbox, prevResult }), ...more };
    const call = runner(type === faulty ? wish : undefined).tryExec(operation as Command, type, request, sandbox);
    calls.set(type, call);
    if (call.status !== 0) break;
    if (operation === "ADD") prevResult = JSON.parse(call.stdout) as CniResult;
  }
  return calls;
}

interface Case {
  readonly member: string;
  readonly fault: Fault;
  readonly text: string;
}

/** The steps of an operation on a node where it has something to do. */
function casesOf(operation: Operation, faultsAt: (step: Step, number: number) => readonly Fault[]): readonly Case[] {
  const cases = members.flatMap((member) => {
    if (operation !== "ADD") operate("ADD");
    const steps = JSON.parse(operate(operation, member, "trace").get(member)?.stderr ?? "[]") as readonly Step[];
    runner().del(list, pod);
    expect(steps.length).toBeGreaterThan(5);
    return steps.flatMap((step, index) =>
      faultsAt(step, index + 1).map((fault) => ({
        member,
        fault,
        text: `${operation} ${member} ${faultText(fault)} ${step.call} ${step.object}`,
      })),
    );
  });
  if (isFull || cases.length <= sampleSize) return cases;
  return Array.from({ length: sampleSize }, (_, at) => cases[Math.floor((at * cases.length) / sampleSize)] as Case);
}

function kills({ call }: Step, step: number): readonly Fault[] {
  const manners = call === "replaceFile" ? (["before", "inside", "after"] as const) : (["before", "after"] as const);
  return manners.map((kill) => ({ step, kill }));
}

/** The errnos that each call can give. */
const plausible: Readonly<Record<string, readonly string[]>> = {
  readStdin: ["EIO"],
  write: ["EPIPE", "ENOSPC"],
  readFile: ["EMFILE", "EPERM"],
  writeFile: ["EROFS", "EPERM", "EMFILE", "EBUSY"],
  createFile: ["ENOSPC", "EROFS", "EMFILE", "EPERM"],
  replaceFile: ["ENOSPC", "EROFS", "EMFILE", "EPERM", "EBUSY"],
  removeFile: ["EROFS", "EPERM", "EBUSY"],
  makeDirs: ["ENOSPC", "EROFS", "EPERM"],
  listDir: ["EMFILE", "EPERM"],
  stat: ["EPERM"],
  lock: ["EMFILE", "ENOSPC", "EROFS", "ETIMEDOUT"],
  run: ["EMFILE", "EPERM", "ETIMEDOUT"],
  openNetns: ["EMFILE", "EPERM"],
  inNetns: ["EPERM"],
  openNetlink: ["EMFILE", "EPERM", "ENOBUFS"],
  send: ["ENOBUFS", "EPERM", "EINTR"],
  receive: ["ENOBUFS", "EINTR", "ETIMEDOUT"],
};
const refusals = ["EPERM", "EBUSY", "ENOBUFS", "ENOSPC"];

function errors({ call, messages = 0 }: Step, step: number): readonly Fault[] {
  const failing = (plausible[call] ?? []).map((errno) => ({ step, errno }));
  const refused = Array.from({ length: messages }, (_, message) => ({
    step,
    errno: refusals[message % refusals.length] as string,
    message,
  }));
  return [...failing, ...refused];
}

const followUps: readonly (readonly [string, () => void])[] = [
  ["DEL", () => runner().del(list, pod)],
  ["GC", () => runner().collect(list, [])],
  [
    "the same ADD",
    () => {
      mustServe(pod, runner().add(list, pod));
      runner().del(list, pod);
    },
  ],
  [
    "ADD of the next sandbox",
    () => {
      mustServe(next, runner().add(list, next));
      runner().del(list, pod);
      mustServe(next, runner().cached(list, next) ?? {});
      runner().del(list, next);
    },
  ],
];

function mustServe(sandbox: Sandbox, result: CniResult): void {
  runner().check(list, sandbox);
  const address = String(result.ips?.[0]?.address).replace(/\/.*/, "");
  if (!ping(node, undefined, address)) throw new Error(`${address} does not answer`);
}

function mustBeClean(): void {
  const left = [...leaks(diff(clean, snapshot(node)))];
  const taken = node.sh(`cat /run/tortie/ipam/blocks/*.json | tr -d ' \\n' | grep -o '"allocations":[^]]*' || true`);
  if (/\d/.test(taken)) left.push(`an address is not free: ${taken.match(/.{0,3}\d.{0,3}/)?.[0]}`);
  if (left.length > 0) throw new Error(left.join(" | "));
}

async function judgeEach(
  tally: Tally,
  cases: readonly Case[],
  judge: (one: Case, index: number) => void,
): Promise<void> {
  const failures: string[] = [];
  for (const [index, one] of cases.entries()) {
    await new Promise(setImmediate);
    try {
      judge(one, index);
      mustBeClean();
    } catch (error) {
      failures.push(`${one.text}: ${error instanceof Error ? error.message : error}`);
      // One defect must not make the next case fail.
      for (const sandbox of [pod, next]) runner().del(list, sandbox);
      runner().collect(list, []);
    }
  }
  tally.add({ tried: cases.length, left: failures.length });
  expect(failures).toEqual([]);
  expect(doctor(node).findings).toEqual([]);
}

describe("the chain on the real kernel", () => {
  test.each<Operation>(["ADD", "DEL", "GC"])(
    "%s stopped at any step leaves nothing after what comes next",
    {
      timeout: timeoutMs,
    },
    async (operation) => {
      await judgeEach(stopped, casesOf(operation, kills), ({ member, fault }, index) => {
        if (operation !== "ADD") operate("ADD");
        expect(operate(operation, member, faultText(fault)).get(member)?.status).toBe(137);
        // What GC was told to be stale is no pod that is served next; docs/reliability.md tells of its ports.
        const possible = operation === "GC" ? followUps.slice(0, 2) : followUps;
        const turns = isFull ? possible : [possible[index % possible.length]];
        for (const [turn, followUp] of turns.entries()) {
          if (turn > 0) {
            if (operation !== "ADD") operate("ADD");
            operate(operation, member, faultText(fault));
          }
          followUp?.[1]();
          mustBeClean();
        }
      });
    },
  );

  test("ADD failing at any step leaves nothing, and one that succeeds serves", { timeout: timeoutMs }, async () => {
    await judgeEach(failedCalls, casesOf("ADD", errors), ({ member, fault }) => {
      const calls = operate("ADD", member, faultText(fault));
      const last = calls.get(members.at(-1) ?? "");
      if (last?.status === 0) mustServeResult(JSON.parse(last.stdout) as CniResult);
      runner().del(list, pod);
    });
  });

  test("DEL failing at any step says so or leaves nothing, and the next one ends it", {
    timeout: timeoutMs,
  }, async () => {
    await judgeEach(failedCalls, casesOf("DEL", errors), ({ member, fault }) => {
      operate("ADD");
      const calls = operate("DEL", member, faultText(fault));
      if (calls.size === members.length && [...calls.values()].every(({ status }) => status === 0)) mustBeClean();
      runner().del(list, pod);
    });
  });
});

function mustServeResult(result: CniResult): void {
  const address = String(result.ips?.[0]?.address).replace(/\/.*/, "");
  if (!ping(node, undefined, address)) throw new Error(`${address} does not answer`);
}

test("the release has no trace of the switch", () => {
  const bytesOf = (dir: string) => readFileSync(join(dir, "calico"), "latin1");
  expect(bytesOf(crashPluginDir)).toContain(switchName);
  expect(bytesOf(ourPluginDir)).not.toContain(switchName);
});
