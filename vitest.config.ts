import { defineConfig } from "vitest/config";

/** The rings of the test suite; every ring but `unit` needs root and the built executables. */
const rings = [
  { name: "unit", parallel: true, timeoutMs: 20_000 },
  { name: "netns", parallel: false, timeoutMs: 120_000 },
  { name: "conformance", parallel: false, timeoutMs: 120_000 },
  { name: "crash", parallel: false, timeoutMs: 300_000 },
  { name: "clients", parallel: false, timeoutMs: 300_000 },
];

export default defineConfig({
  test: {
    projects: rings.map(({ name, parallel, timeoutMs }) => ({
      test: {
        name,
        // Writes what plugins import as "#validators/<name>".
        globalSetup: "scripts/validators.ts",
        include: [`test/${name}/**/*.test.ts`],
        fileParallelism: parallel,
        testTimeout: timeoutMs,
        hookTimeout: timeoutMs,
      },
    })),
  },
});
