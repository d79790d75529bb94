/**
 * `npm test`: runs the rings of tests with vitest, each even if an earlier one failed; the last line is the total.
 *
 *     N passed, N failed[, N skipped]
 *
 * Arguments are names of rings: `npm test -- unit netns`. `all` (`npm run test:full`) stands for every ring, including the long ones, as
 * continuous integration runs them, except `vm` (`npm run test:vm`) and `reference` (`npm run conformance` shows its rows). Rings that create
 * namespaces need root; without it each counts as a skip.
 *
 * The unit tests run first, because they take seconds. All other rings are one run: two workers share the files, the longest first.
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type InlineConfig, startVitest } from "vitest/node";
import { kubernetesPrograms } from "../test/lib/cluster/kubernetes-build.ts";
import { type Totals, TotalsReporter } from "../test/lib/reporter.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
interface Ring {
  readonly name: string;
  readonly needsRoot: boolean;
  /** Runs only on request. */
  readonly isLong?: boolean;
  /** Runs only when requested by name. */
  readonly isApart?: boolean;
}

const rings: readonly Ring[] = [
  { name: "unit", needsRoot: false },
  { name: "netns", needsRoot: true },
  { name: "conformance", needsRoot: true },
  { name: "crash", needsRoot: true },
  { name: "clients", needsRoot: true },
  { name: "mains", needsRoot: true, isLong: true },
  { name: "sanitized", needsRoot: true, isLong: true },
  { name: "stock", needsRoot: true, isLong: true },
  { name: "cluster", needsRoot: false, isLong: true },
  { name: "fuzz", needsRoot: false, isLong: true },
  { name: "debian", needsRoot: true, isLong: true },
  { name: "reference", needsRoot: true, isApart: true },
  { name: "vm", needsRoot: true, isApart: true },
];

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => name !== "all" && !rings.some((ring) => ring.name === name));
if (unknown.length > 0) {
  console.error(
    `cannot test: no ring is called ${unknown.join(", ")}; there are ${rings.map(({ name }) => name).join(", ")}, all`,
  );
  process.exit(2);
}
// Tests with many cases try only some of them unless the argument is `all`.
if (asked.includes("all")) process.env.TORTIE_CASES ??= "many";

const isRoot = process.getuid?.() === 0;
const wanted = rings.filter(isAsked);
const able = wanted.filter(({ needsRoot }) => isRoot || !needsRoot).map(({ name }) => name);
// On a machine without Kubernetes' programs their build takes minutes. It starts with the rings that need none; a test that needs them waits for it, and
// reports its error.
if (able.includes("cluster")) kubernetesPrograms("kube-apiserver", "kubelet").catch(() => undefined);
const results: readonly Totals[] = [
  // These keep no state in modules, so a worker loads each module once for all its files.
  await run(
    able.filter((name) => name === "unit"),
    { poolOptions: { forks: { isolate: false } } },
  ),
  await run(able.filter((name) => name !== "unit")),
  ...wanted.filter(({ name }) => !able.includes(name)).map(skipped),
];
const total = (key: "passed" | "failed" | "skipped") => results.reduce((sum, result) => sum + result[key], 0);
for (const skip of results.flatMap(({ skips }) => skips)) console.log(`skipped: ${skip}`);
console.log(
  `${total("passed")} passed, ${total("failed")} failed${total("skipped") > 0 ? `, ${total("skipped")} skipped` : ""}`,
);
// A process that a test left running must not delay the total.
process.exit(total("failed") > 0 ? 1 : 0);

function isAsked({ name, isLong = false, isApart = false }: Ring): boolean {
  if (asked.includes(name)) return true;
  return !isApart && (asked.length === 0 ? !isLong : asked.includes("all"));
}

function skipped({ name }: Ring): Totals {
  const reason = `ring ${name}: it makes network namespaces, which needs root`;
  return { passed: 0, failed: 0, skipped: 1, skips: [reason] };
}

async function run(names: readonly string[], more: InlineConfig = {}): Promise<Totals> {
  const reporter = new TotalsReporter();
  if (names.length === 0) return reporter.totals;
  console.log(`\n== ${names.join(", ")}`);
  try {
    const vitest = await startVitest("test", [], {
      root,
      project: [...names],
      run: true,
      watch: false,
      passWithNoTests: true,
      reporters: ["default", reporter],
      ...more,
    });
    await vitest.close();
    // The set-up of a ring failed: vitest has printed the reason and runs no test of it.
    const missing = names.filter((name) => !reporter.rings.has(name));
    if (missing.length > 0) throw new Error(`no test was run of the rings ${missing.join(", ")}`);
  } catch (error) {
    console.error(error);
    return { ...reporter.totals, failed: reporter.totals.failed + 1 };
  }
  return reporter.totals;
}
