/**
 * Every step of the whole chain on the real kernel: killed there, or failing with an errno that its call can return. Then DEL, GC, the same ADD
 * or that of the next sandbox: the host is unchanged and every address free, or the pod is served. The same for portmap with its iptables back
 * end.
 *
 * The steps take turns with the follow-ups: the model's tests (`test/unit/crash`) have all combinations. Without TORTIE_CRASH=full only a part of
 * the steps is tried, evenly spread.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildCrashPlugins, crashPluginDir, switchName } from "../lib/faults/crash-build.ts";
import { faultText } from "../lib/faults/fault.ts";
import { Counter, isFull, timeoutMs } from "../lib/faults/reliability.ts";
import { doctor } from "../lib/node/doctor.ts";
import { Node } from "../lib/node/netns.ts";
import type { CniResult } from "../lib/runtimes/runner.ts";
import { ourPluginDir, requireBuild } from "../lib/suite.ts";
import { type Case, type Operation, StepChain } from "./step-chain.ts";
import { errors, kills } from "./step-faults.ts";
import { subjects } from "./subjects.ts";

/** Per test, if not all are tried; fewer if only portmap is faulty. */
const sampleSize = Number(process.env.TORTIE_CRASH_STEPS ?? 16);
const stopped = new Counter();
const failedCalls = new Counter();

beforeAll(async () => {
  requireBuild();
  await buildCrashPlugins();
});

afterAll(() => {
  stopped.record("kill", "kill");
  failedCalls.record("error", "error");
});

const followUps: readonly ((chain: StepChain) => void)[] = [
  (chain) => chain.del(chain.pod),
  (chain) => chain.collect(),
  (chain) => {
    chain.mustServe(chain.pod, chain.add(chain.pod));
    chain.del(chain.pod);
  },
  (chain) => {
    chain.mustServe(chain.next, chain.add(chain.next));
    chain.del(chain.pod);
    chain.mustServe(chain.next);
    chain.del(chain.next);
  },
];

describe.each(subjects)("$name on the real kernel", ({ list, faulty }) => {
  const tried = isFull ? Number.POSITIVE_INFINITY : faulty.length > 1 ? sampleSize : sampleSize / 2;
  let node: Node;
  let chain: StepChain;

  beforeAll(async () => {
    node = await Node.start();
    chain = new StepChain(node, list);
  });

  afterAll(async () => {
    await node?.stop();
  });

  test.each<Operation>(["ADD", "DEL", "GC"])(
    "%s stopped at any step leaves nothing after what comes next",
    { timeout: timeoutMs },
    async (operation) => {
      const cases = chain.casesOf(operation, faulty, kills, tried);
      await checkEach(stopped, cases, ({ member, fault }, index) => {
        if (operation !== "ADD") chain.operate("ADD");
        expect(chain.operate(operation, member, faultText(fault)).get(member)?.status).toBe(137);
        followUps[index % followUps.length]?.(chain);
      });
    },
  );

  test("ADD failing at any step leaves nothing, and one that succeeds serves", { timeout: timeoutMs }, async () => {
    await checkEach(failedCalls, chain.casesOf("ADD", faulty, errors, tried), ({ member, fault }) => {
      const last = chain.operate("ADD", member, faultText(fault)).get(chain.members.at(-1) ?? "");
      if (last?.status === 0) chain.mustAnswer(JSON.parse(last.stdout) as CniResult);
      chain.del(chain.pod);
    });
  });

  test("DEL failing at any step says so or leaves nothing, and the next one ends it", {
    timeout: timeoutMs,
  }, async () => {
    await checkEach(failedCalls, chain.casesOf("DEL", faulty, errors, tried), ({ member, fault }) => {
      chain.operate("ADD");
      const calls = chain.operate("DEL", member, faultText(fault));
      const saysSo = calls.size < chain.members.length || [...calls.values()].some(({ status }) => status !== 0);
      if (!saysSo) chain.mustBeClean();
      chain.del(chain.pod);
    });
  });

  async function checkEach(
    counter: Counter,
    cases: readonly Case[],
    judge: (one: Case, index: number) => void,
  ): Promise<void> {
    const failures: string[] = [];
    for (const [index, one] of cases.entries()) {
      // Let the test runner communicate.
      await new Promise(setImmediate);
      try {
        judge(one, index);
        chain.mustBeClean();
      } catch (error) {
        failures.push(`${one.text}: ${error instanceof Error ? error.message : error}`);
        // One defect must not make the next case fail.
        for (const sandbox of [chain.pod, chain.next]) chain.del(sandbox);
        chain.collect();
      }
    }
    counter.add({ tried: cases.length, left: failures.length });
    expect(failures).toEqual([]);
    expect(doctor(node).findings).toEqual([]);
  }
});

test("dist/bin does not contain TORTIE_FAULT", () => {
  const bytesOf = (dir: string) => readFileSync(join(dir, "calico"), "latin1");
  expect(bytesOf(crashPluginDir)).toContain(switchName);
  expect(bytesOf(ourPluginDir)).not.toContain(switchName);
});
