/**
 * Files of the ring `cluster` in a virtual machine, for what many machines' kernels lack: etcd, the agents and the pods of three nodes, all on one of
 * Debian's kernels. `TORTIE_VM_KERNELS=5.10,newest` selects kernels.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { chosenKernels, Guest, runOrThrow, whyNoGuests } from "../lib/runtimes/guest.ts";
import { requireBuild, root } from "../lib/suite.ts";

const why = whyNoGuests();
const minutes = 60_000;

/** What no test of the ring imports. */
const unused = ["@biomejs", "@kubernetes", "@typescript", "typescript", ".vite"];

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly title: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

beforeEach((context) => {
  context.skip(why !== undefined, why);
});

describe.each(chosenKernels(["6.12"]))("Linux %s", (kernel) => {
  let guest: Guest;

  beforeAll(() => {
    if (why !== undefined) return;
    requireBuild();
    guest = Guest.start(kernel, { memoryMiB: 3072, diskMiB: 600, addToDisk: addCheckout });
    // The tests' cache is written; the disk is not.
    guest.sh(`mkdir -p /tmp/upper /tmp/work /checkout
      mount -t overlay overlay -o lowerdir=/test/checkout,upperdir=/tmp/upper,workdir=/tmp/work /checkout`);
  }, 900_000);

  afterAll(async () => {
    await guest?.stop();
  });

  /** Runs beside this process, which has to answer vitest meanwhile. Returns the last of what it said. */
  async function runFile(file: string): Promise<string> {
    const vitest =
      "node node_modules/vitest/vitest.mjs run --project cluster --reporter default --reporter json --outputFile /tmp/report.json";
    guest.sh("rm -f /tmp/report.json /tmp/ended; cat > /tmp/run", {
      stdin: `export PATH=/test/checkout/bin:$PATH HOME=/root TORTIE_PATIENCE=20; cd /checkout
        ${vitest} test/cluster/${file}.test.ts > /tmp/said 2>&1; touch /tmp/ended`,
    });
    guest.start(["sh", "/tmp/run"]);
    for (const end = Date.now() + 45 * minutes; Date.now() < end; await sleep(2000)) {
      if (guest.run(["test", "-e", "/tmp/ended"]).status === 0) break;
    }
    return guest.sh("tail -n 100 /tmp/said");
  }

  test.each(["network-ipip", "network"])("%s", { timeout: 50 * minutes }, async (file) => {
    const said = await runFile(file);
    const { stdout: text, status } = guest.run(["cat", "/tmp/report.json"]);
    expect(status, said).toBe(0);
    const report = JSON.parse(text) as Report;
    const ended = report.testResults.flatMap(({ assertionResults }) =>
      assertionResults.map(({ title, status: how, failureMessages }) => [title, how, ...failureMessages].join(": ")),
    );
    expect(
      ended.filter((text) => !text.endsWith(": passed")),
      said,
    ).toEqual([]);
    expect(ended.length).toBeGreaterThan(0);
  });
});

/** The sources and the built programs of this checkout, with Node and etcd. */
function addCheckout(disk: string): void {
  const checkout = join(disk, "checkout");
  mkdirSync(join(checkout, "bin"), { recursive: true });
  const parts = [
    "src",
    "plugins",
    "test",
    "scripts",
    "conf-examples",
    "dist",
    "build/plugins",
    "build/validators",
    "build/tools/etcd-server",
  ];
  const files = ["package.json", "tsconfig.json", "vitest.config.ts"];
  runOrThrow("sh", ["-c", `cd ${root} && cp -a --parents ${[...parts, ...files].join(" ")} ${checkout}`]);
  runOrThrow("cp", ["-L", process.execPath, join(checkout, "bin/node")]);
  const without = unused.map((name) => `--exclude=./${name}`).join(" ");
  runOrThrow("sh", [
    "-c",
    `mkdir ${checkout}/node_modules && tar -C ${root}/node_modules ${without} -cf - . | tar -C ${checkout}/node_modules -xf -`,
  ]);
}
