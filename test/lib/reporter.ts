/** A vitest reporter that counts results for `scripts/test.ts`. */
import type { Reporter, TestModule } from "vitest/node";

export interface Totals {
  readonly passed: number;
  /** Failed tests, and files, suites and hooks that could not run. */
  readonly failed: number;
  readonly skipped: number;
  /** `<test>: <reason>`. */
  readonly skips: readonly string[];
}

export class TotalsReporter implements Reporter {
  totals: Totals = { passed: 0, failed: 0, skipped: 0, skips: [] };
  /** The rings of the files that ran. */
  rings: ReadonlySet<string> = new Set();

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const suites = modules.flatMap((module) => [...module.children.allSuites()]);
    const broken = [...modules, ...suites].filter((container) => container.errors().length > 0).length;
    const count = (...states: readonly string[]) => tests.filter((test) => states.includes(test.result().state)).length;
    this.rings = new Set(modules.map((module) => module.project.name));
    this.totals = {
      passed: count("passed"),
      failed: count("failed", "pending") + broken + unhandledErrors.length,
      skipped: count("skipped"),
      skips: tests.flatMap((test) => {
        const result = test.result();
        return result.state === "skipped" ? [`${test.fullName}: ${result.note ?? "the test says no reason"}`] : [];
      }),
    };
  }
}
