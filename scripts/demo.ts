/**
 * `npm run demo`: connects a node, two pods and an outside client with the chain of `conf-examples/10-calico.conflist`, step by step.
 *
 * Everything runs in private namespaces, which end with the demo's process, even after kill -9. The machine's own network is not touched.
 * Every step prints the actual output, and the first step that fails ends the demo with exit code 1.
 */
import { execaSync } from "execa";
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
    say(`\n${bold("done")} in ${seconds} s: every step succeeded.\n\n${whatNow}`);
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

const whatNow = `${bold("Next steps")}
  On your own node: see "Install" in README.md; "node dist/tortie.js install" links the ${suite.length} names and writes the conflist.
  Other networks: conf-examples/README.md.
  What the kernel holds, and why: docs/dataplane.md. Troubleshooting: docs/operations.md.
  npm test tests everything else.`;

/** Throws, with the remedy, if this process may not create namespaces. */
function requireNamespaces(): void {
  if (process.getuid?.() !== 0) throw new Error("cannot create network namespaces: run the demo as root");
  const done = execaSync({ reject: false })`unshare --mount --net --pid --fork --mount-proc true`;
  if (!done.failed) return;
  throw new Error(
    `cannot create namespaces (${done.stderr || done.shortMessage}); in a container, start the container with --privileged`,
  );
}

process.exit(await main());
