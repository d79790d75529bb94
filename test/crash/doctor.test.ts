/**
 * `tortie doctor --fix` finds and repairs what a process that is killed at a step leaves behind, whether its sandbox still exists or not, without
 * a DEL.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildCrashPlugins } from "../lib/faults/crash-build.ts";
import { faultText } from "../lib/faults/fault.ts";
import { Counter, isFull, timeoutMs } from "../lib/faults/reliability.ts";
import { doctor } from "../lib/node/doctor.ts";
import { Node } from "../lib/node/netns.ts";
import { requireBuild } from "../lib/suite.ts";
import { type Operation, StepChain } from "./step-chain.ts";
import { kills } from "./step-faults.ts";
import { subjects } from "./subjects.ts";

/** Per test: the doctor looks four times, and takes a second or two. */
const sampleSize = isFull ? 24 : 4;
const repaired = new Counter();
let directory: string;

beforeAll(async () => {
  requireBuild();
  await buildCrashPlugins();
  directory = mkdtempSync(join(tmpdir(), "tortie-crash-"));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
  repaired.record("doctor", "doctor");
});

describe.each(subjects)("$name", ({ list, faulty }) => {
  let node: Node;
  let chain: StepChain;
  let conflist: string;

  beforeAll(async () => {
    node = await Node.start();
    chain = new StepChain(node, list);
    conflist = join(directory, "10-crash.conflist");
    writeFileSync(conflist, JSON.stringify(list));
  });

  afterAll(async () => {
    await node?.stop();
  });

  test.each<Operation>(["ADD", "DEL", "GC"])(
    "what %s leaves that was killed at any step is found and repaired",
    { timeout: timeoutMs },
    async (operation) => {
      const failures: string[] = [];
      const cases = chain.casesOf(operation, faulty, kills, sampleSize);
      for (const [index, { member, fault, text }] of cases.entries()) {
        // Let the test runner communicate.
        await new Promise(setImmediate);
        if (operation !== "ADD") chain.operate("ADD");
        chain.operate(operation, member, faultText(fault));
        const isGone = index % 2 === 0;
        if (isGone) chain.losePod();
        const { findings } = doctor(node, { fix: true, conflist });
        const left = findings.map((finding) => `${finding.id}: ${finding.text}`);
        if (isGone) left.push(...chain.leftovers());
        if (left.length > 0) failures.push(`${text}, sandbox ${isGone ? "gone" : "there"}: ${left.join(" | ")}`);
        if (isGone) chain.givePodBack();
        chain.del(chain.pod);
        chain.mustBeClean();
      }
      repaired.add({ tried: cases.length, left: failures.length });
      expect(failures).toEqual([]);
    },
  );
});
