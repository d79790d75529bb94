/** Runs `tortie trace` on a private node. */
import { join } from "node:path";
import type { Hop } from "../../../src/cli/trace/facts.ts";
import { root } from "../suite.ts";

export interface Traced {
  readonly title: string;
  readonly conclusion: string;
  /** The index of the first wrong hop. */
  readonly firstWrong?: number;
  readonly hops: readonly Hop[];
  readonly unread: readonly string[];
}

interface Machine {
  run(argv: readonly string[]): {
    readonly status: number | null | undefined;
    readonly stdout: string;
    readonly stderr: string;
  };
}

/** `options`: of the command, like `--node=node-a`. Throws if the command itself fails. */
export function traced(node: Machine, from: string, to: string, options: readonly string[] = []): Traced {
  const { status, stdout, stderr } = node.run([...traceCommand(from, to, options), "-o", "json"]);
  if (status !== 0 && status !== 3) throw new Error(`cannot trace: status ${status}: ${stderr}`);
  return JSON.parse(stdout) as Traced;
}

export function traceCommand(from: string, to: string, options: readonly string[] = []): readonly string[] {
  return [process.execPath, join(root, "dist/tortie.js"), "trace", from, to, ...options];
}

/** `pod default/a: route: the pod has no route …`; empty if nothing is wrong. */
export function wrongHop({ hops, firstWrong }: Traced): string {
  const hop = firstWrong === undefined ? undefined : hops[firstWrong];
  return hop === undefined ? "" : `${hop.place}: ${hop.what}: ${hop.text}`;
}
