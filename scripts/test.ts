/**
 * `npm test`: the rings of tests by vitest, one after the other, whatever became of the ones before; the last line is the total.
 *
 *     N passed, N failed[, N skipped]
 *
 * Arguments are names of rings: `npm test -- unit netns`; `all` stands for every ring, the long ones too, as continuous integration runs
 * them, but for `vm` (`npm run test:vm`). Rings that make namespaces need root; without it they count as one skip each.
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { startVitest } from "vitest/node";
import { type Totals, TotalsReporter } from "../test/lib/reporter.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
interface Ring {
  readonly name: string;
  readonly needsRoot: boolean;
  /** Runs only when it is asked for. */
  readonly isLong?: boolean;
  /** Runs only when it is asked for by name. */
  readonly isApart?: boolean;
}

const rings: readonly Ring[] = [
  { name: "unit", needsRoot: false },
  { name: "netns", needsRoot: true },
  { name: "conformance", needsRoot: true },
  { name: "crash", needsRoot: true },
  { name: "clients", needsRoot: true },
  { name: "sanitized", needsRoot: true },
  { name: "fuzz", needsRoot: false },
  { name: "debian", needsRoot: true, isLong: true },
  { name: "vm", needsRoot: true, isApart: true },
];

const nothing: Totals = { passed: 0, failed: 0, skipped: 0, skips: [] };

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => name !== "all" && !rings.some((ring) => ring.name === name));
if (unknown.length > 0) {
  console.error(
    `cannot test: no ring is called ${unknown.join(", ")}; there are ${rings.map(({ name }) => name).join(", ")}, all`,
  );
  process.exit(2);
}

// The unit tests try a few of many cases where a developer waits; here they try many.
process.env.TORTIE_CASES ??= "many";
const results: Totals[] = [];
for (const ring of rings.filter(isAsked)) {
  results.push(await run(ring));
}
const total = (key: "passed" | "failed" | "skipped") => results.reduce((sum, result) => sum + result[key], 0);
for (const skip of results.flatMap(({ skips }) => skips)) console.log(`skipped: ${skip}`);
console.log(
  `${total("passed")} passed, ${total("failed")} failed${total("skipped") > 0 ? `, ${total("skipped")} skipped` : ""}`,
);
// A test that left something running must not hold the total back.
process.exit(total("failed") > 0 ? 1 : 0);

function isAsked({ name, isLong = false, isApart = false }: Ring): boolean {
  if (asked.includes(name)) return true;
  return !isApart && (asked.length === 0 ? !isLong : asked.includes("all"));
}

async function run({ name, needsRoot }: Ring): Promise<Totals> {
  if (needsRoot && process.getuid?.() !== 0) {
    return { ...nothing, skipped: 1, skips: [`ring ${name}: it makes network namespaces, which needs root`] };
  }
  console.log(`\n== ring ${name}`);
  const totals = new TotalsReporter();
  try {
    const vitest = await startVitest("test", [], {
      root,
      project: [name],
      run: true,
      watch: false,
      passWithNoTests: true,
      reporters: ["default", totals],
    });
    await vitest.close();
  } catch (error) {
    console.error(error);
    return { ...totals.totals, failed: totals.totals.failed + 1 };
  }
  return totals.totals;
}
