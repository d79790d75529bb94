import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { patience } from "./test/lib/patience.ts";

interface Ring {
  readonly name: string;
  readonly timeoutMs: number;
  /** How long `expect.poll` waits; a second by default. */
  readonly pollMs?: number;
  /** Default: the directory of `test` that has the ring's name. */
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly setup?: string;
  readonly env?: Record<string, string>;
}

/** The rings of the test suite; every ring but `unit` needs root and the built executables. */
const rings: readonly Ring[] = [
  { name: "unit", timeoutMs: 20_000 },
  { name: "conformance", timeoutMs: 120_000, exclude: ["test/conformance/{mains,reference,yes-man}.test.ts"] },
  { name: "netns", timeoutMs: 120_000 },
  // The conformance table's rows once more: behind our other main plugins, and on a plugin that does nothing; and on the Go plugins, which gates nothing.
  { name: "mains", timeoutMs: 1_800_000, include: ["test/conformance/{mains,yes-man}.test.ts"] },
  { name: "reference", timeoutMs: 1_800_000, include: ["test/conformance/reference.test.ts"] },
  { name: "crash", timeoutMs: 300_000 },
  { name: "clients", timeoutMs: 300_000 },
  // Real datastores of a cluster. The API server is built on the first run, which takes minutes.
  { name: "cluster", timeoutMs: 300_000, pollMs: 10_000 },
  { name: "fuzz", timeoutMs: 300_000 },
  { name: "debian", timeoutMs: 900_000 },
  { name: "vm", timeoutMs: 300_000 },
  // Other rings' tests once more, on executables that sanitizers watch; without what the release alone promises (its size, that it is static).
  // Without TORTIE_SANITIZED=all, those that reach most of the native host.
  {
    name: "sanitized",
    timeoutMs: 240_000,
    include:
      process.env.TORTIE_SANITIZED === "all"
        ? ["test/{netns,conformance}/**/*.test.ts"]
        : ["test/netns/{chain,hostile}.test.ts", "test/netns/host/*.test.ts"],
    exclude: ["test/netns/{bundle,executable,demo,node}.test.ts", "test/conformance/{mains,reference,yes-man}.test.ts"],
    setup: "test/lib/sanitized.ts",
    env: { TORTIE_PLUGINS: "build/sanitized/bin" },
  },
  // And on the engine as it is published, without our allocator and without an image: a fault that is gone there is of our own making.
  {
    name: "stock",
    timeoutMs: 240_000,
    include: ["test/netns/{chain,hostile}.test.ts", "test/netns/host/*.test.ts"],
    setup: "test/lib/stock.ts",
    env: { TORTIE_PLUGINS: "build/stock/bin" },
  },
];

/**
 * The files of the slow rings first, so that no worker waits in the end for one that the other has just begun; of rings that are equally slow, in the
 * order above; within a ring as vitest would have them: by the time they took before, if it knows, or else by their size, which says little.
 */
class SlowRingsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const order = [...rings].sort((one, other) => other.timeoutMs - one.timeoutMs).map(({ name }) => name);
    const placeOf = ({ project }: TestSpecification) => order.indexOf(project.name);
    return (await super.sort(files)).sort((one, other) => placeOf(one) - placeOf(other));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: SlowRingsFirst },
    // Each test file has nodes of its own; more at once would wait for what the kernel does one at a time (RTNL).
    minWorkers: 1,
    maxWorkers: 2,
    projects: rings.map(({ name, timeoutMs, pollMs = 1000, include, exclude, setup, env }) => ({
      test: {
        name,
        // The first writes what plugins import as "#validators/<name>".
        globalSetup: ["scripts/validators.ts", ...(setup === undefined ? [] : [setup])],
        include: [...(include ?? [`test/${name}/**/*.test.ts`])],
        ...(exclude && { exclude: [...exclude] }),
        ...(env && { env }),
        testTimeout: timeoutMs * patience,
        hookTimeout: timeoutMs * patience,
        expect: { poll: { timeout: pollMs * patience } },
      },
    })),
  },
});
