/**
 * `npm run demo`: a node, two pods and a client outside, joined by the chain of `conf-examples/10-calico.conflist`, step by step.
 *
 * Everything happens in namespaces of the demo's own, which hang on its process: an interrupt ends them, and so does kill -9.
 * The machine's own network is not touched.
 * Every step prints what really came back, and a step that does not come out ends the demo with status 1.
 */
import { spawnSync } from "node:child_process";
import { Node } from "../test/lib/node/netns.ts";
import { PluginError } from "../test/lib/runtimes/runner.ts";
import { requireBuild, suite } from "../test/lib/suite.ts";
import { bold, red, say } from "./demo/screen.ts";
import { showAll } from "./demo/steps.ts";

async function main(): Promise<number> {
  const started = performance.now();
  let node: Node | undefined;
  try {
    requireNamespaces();
    requireBuild();
    node = await Node.start("node-a");
    showAll(node);
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    say(`\n${bold("done")} in ${seconds} s: everything came out as it should.\n\n${whatNow}`);
    return 0;
  } catch (error) {
    say(
      `\n${red("failed:")} ${error instanceof PluginError ? `${error.message} (code ${error.code})` : (error as Error).message}`,
    );
    return 1;
  } finally {
    await node?.stop();
  }
}

const whatNow = `${bold("What now?")}
  On a node of your own: "Install" in README.md; "node dist/tortie.js install" links the ${suite.length} names and writes the conflist that you name.
  Another network than this one: conf-examples/README.md.
  What is in the kernel, and why: docs/dataplane.md. When something is wrong: docs/operations.md.
  Everything else is proved by npm test.`;

/** Throws, with what to do, where this process may not make namespaces. */
function requireNamespaces(): void {
  if (process.getuid?.() !== 0) throw new Error("the demo makes network namespaces: run it as root");
  const { status, stderr } = spawnSync("unshare", ["--mount", "--net", "--pid", "--fork", "--mount-proc", "true"], {
    encoding: "utf8",
  });
  if (status === 0) return;
  throw new Error(
    `the demo may not make namespaces here (${stderr.trim()}); in a container, start that one with --privileged`,
  );
}

process.exit(await main());
