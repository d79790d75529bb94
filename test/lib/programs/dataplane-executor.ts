/**
 * A program for the native host that runs steps of the executor in sequence and prints the result of each.
 *
 * In:  `{"netns": {"a": "/run/netns/a"}, "steps": [{"step": "apply", "in": "a", "plan": …}, …]}`      Out: one result per step
 */
import { type Executor, withExecutor } from "../../../src/dataplane/executor.ts";
import type { Netns, Sys } from "../../../src/host/sys.ts";
import type { Plan } from "../../../src/plan/resource.ts";

export type DataplaneStep =
  /** Returns the links by `<place>:<name>`. `mayReplace` is an owner. */
  | { readonly step: "apply"; readonly in: string; readonly plan: Plan; readonly mayReplace?: string }
  /** Returns the texts of the differences. */
  | { readonly step: "diff"; readonly in: string; readonly plan: Plan }
  /** Rolls back the last `apply`. */
  | { readonly step: "undo" }
  | { readonly step: "remove"; readonly name: string; readonly owner: string }
  /** Returns the names of those that are gone. */
  | { readonly step: "removeLinks"; readonly links: readonly { readonly name: string; readonly owner: string }[] }
  /** Returns `<name> <kind> <owner>`. */
  | { readonly step: "list"; readonly ownerPrefix: string };

export interface DataplaneJob {
  readonly netns: Readonly<Record<string, string>>;
  readonly steps: readonly DataplaneStep[];
}

export interface DataplaneAnswer {
  readonly value?: unknown;
  /** The message of the error that the step threw. */
  readonly refused?: string;
  readonly ms: number;
}

const maxBytes = 1 << 22;
/** Of which no link is listed. */
const noOwners = { prefix: "tortie:no network/", except: new Set<string>() } as const;

export function runDataplaneExecutor(sys: Sys): void {
  const { netns, steps } = JSON.parse(sys.readStdin(maxBytes, 10_000)) as DataplaneJob;
  const sandboxes = new Map<string, Netns>();
  for (const [name, path] of Object.entries(netns)) sandboxes.set(name, sys.openNetns(path));
  let last: ReturnType<Executor["apply"]> | undefined;

  function take(step: DataplaneStep, executor: Executor): unknown {
    switch (step.step) {
      case "apply": {
        const { plan, mayReplace } = step;
        last = executor.apply(plan, mayReplace === undefined ? {} : { mayReplace: (alias) => alias === mayReplace });
        return Object.fromEntries(last.links);
      }
      case "diff":
        return executor.diff(step.plan).map(({ text }) => text);
      case "undo":
        return last?.undo();
      case "remove":
        return executor.remove(step.owner, [{ kind: "link", at: "host", name: step.name }]);
      case "removeLinks": {
        const gone: string[] = [];
        const onGone = ({ name }: { readonly name: string }) => void gone.push(name);
        const links = { kind: "link", of: "veth", recorded: step.links, onGone } as const;
        executor.remove(noOwners, [links]);
        return gone;
      }
      case "list":
        return (["ifb", "veth"] as const).flatMap((kind) =>
          executor.list({ kind, ownerPrefix: step.ownerPrefix }).map(({ name, owner }) => `${name} ${kind} ${owner}`),
        );
    }
  }

  const answers = steps.map((step): DataplaneAnswer => {
    const start = sys.monotonicMs();
    try {
      const sandbox = "in" in step ? sandboxes.get(step.in) : undefined;
      const value = withExecutor(sys, sandbox, (executor) => take(step, executor));
      return { value, ms: sys.monotonicMs() - start };
    } catch (error) {
      return { refused: error instanceof Error ? error.message : `${error}`, ms: sys.monotonicMs() - start };
    }
  });
  sys.write("stdout", JSON.stringify(answers));
  sys.exit(0);
}
