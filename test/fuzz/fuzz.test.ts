/**
 * The fuzz targets on the engine, both with sanitizers: replays the committed inputs, then spends a minute on new ones.
 * TORTIE_FUZZ_SECONDS sets the time.
 */
import { join } from "node:path";
import { execaSync } from "execa";
import { beforeAll, describe, expect, test } from "vitest";
import { buildFuzzTargets } from "../../scripts/fuzz/build.ts";
import { allTargets, fuzz, replay } from "../../scripts/fuzz.ts";
import { root } from "../lib/suite.ts";

const seconds = Number(process.env.TORTIE_FUZZ_SECONDS ?? 60);

beforeAll(async () => {
  execaSync(join(root, "scripts/setup"), ["--sanitizers"], { stdio: "inherit" });
  await buildFuzzTargets();
});

describe.each(allTargets)("%s", (target) => {
  test("passes the corpus, and every input that was a finding once", () => {
    expect(replay(target)).toMatchObject({ passed: true });
  });
});

test(`${seconds} seconds of fuzzing find nothing`, { timeout: (seconds + 240) * 1000 }, async () => {
  const records = await fuzz(allTargets, seconds, { fromCommitted: true });
  expect(records.filter(({ findings }) => findings > 0)).toEqual([]);
  for (const { executions } of records) expect(executions).toBeGreaterThan(0);
});
