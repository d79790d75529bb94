/**
 * `npm run bench -- --instructions`: counts user-mode instructions (callgrind) and system calls (strace) of each of our executables for ADD
 * and DEL of a pod. Unlike times, the counts do not depend on the load of the machine, so they show small differences.
 *
 * Under callgrind /proc/self/exe is another program, so `calico` runs `calico-ipam` as a separate process. Its instructions are not in the row
 * of `calico` but in that of `calico-ipam`, measured for a pod that has nothing else. Its system calls are in both rows.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject } from "../../test/lib/conflist.ts";
import { Node } from "../../test/lib/node/netns.ts";
import { Runner, requestOf, type Sandbox } from "../../test/lib/runtimes/runner.ts";
import { workDir } from "./measure.ts";
import type { Scenario } from "./scenarios.ts";

export interface Count {
  readonly pod: string;
  readonly command: "ADD" | "DEL";
  readonly plugin: string;
  readonly instructions: number;
  readonly systemCalls: number;
}

const out = join(workDir, "counted");
const tools = {
  instructions: {
    wrap: ["valgrind", "-q", "--tool=callgrind", `--callgrind-out-file=${out}`],
    count: (text: string) => Number(/^(?:summary|totals): (\d+)/m.exec(text)?.[1]),
  },
  systemCalls: { wrap: ["strace", "-o", out], count: (text: string) => [...text.matchAll(/^\w+\(/gm)].length },
} as const;

/** Measures one pod of each scenario on its own node; an earlier pod has paid the one-time costs of the node. */
export async function countInstructions(directory: string, scenarios: readonly Scenario[]): Promise<readonly Count[]> {
  mkdirSync(workDir, { recursive: true });
  const counts: Count[] = [];
  for (const scenario of scenarios) {
    const node = await Node.start("bench");
    try {
      counts.push(...countScenario(node, directory, scenario));
    } finally {
      await node.stop();
    }
  }
  return counts;
}

function countScenario(node: Node, directory: string, { name: pod, ours, capabilities: template, standing }: Scenario) {
  const plain = new Runner({ node, pluginDirs: [directory] });
  const sandbox = (containerId: string, capabilities: JsonObject): Sandbox => {
    return { containerId, netns: node.addPod(containerId), ifname: "eth0", capabilities };
  };
  if (standing !== undefined) plain.add(ours, sandbox("standing", standing));
  const capabilities = JSON.parse(JSON.stringify(template).replace('"@hostPort@"', "20000")) as JsonObject;
  const first = sandbox("first", capabilities);
  plain.add(ours, first);
  plain.del(ours, first);

  const found = new Map<string, Record<keyof typeof tools, number>>();
  for (const tool of ["instructions", "systemCalls"] as const) {
    const { wrap, count } = tools[tool];
    const counted = new Runner({ node, pluginDirs: [directory], wrap });
    const one = sandbox(`by-${tool}`.toLowerCase(), capabilities);
    let prevResult: JsonObject | undefined;
    const run = (command: "ADD" | "DEL", plugin: (typeof ours.plugins)[number]) => {
      const call = counted.exec(command, plugin.type, requestOf(ours, plugin, { sandbox: one, prevResult }), one);
      const key = `${command} ${plugin.type}`;
      found.set(key, { instructions: 0, systemCalls: 0, ...found.get(key), [tool]: count(readFileSync(out, "utf8")) });
      if (command === "ADD") prevResult = JSON.parse(call.stdout);
    };
    const [main] = ours.plugins;
    if (main !== undefined)
      for (const command of ["ADD", "DEL"] as const) run(command, { ...main, type: "calico-ipam" });
    prevResult = undefined;
    for (const plugin of ours.plugins) run("ADD", plugin);
    for (const plugin of [...ours.plugins].reverse()) run("DEL", plugin);
  }
  return [...found].map(([key, counts]): Count => {
    const [command, plugin = ""] = key.split(" ");
    return { pod, command: command as Count["command"], plugin, ...counts };
  });
}

export function instructionsTable(counts: readonly Count[]): string {
  const rows = counts.map(({ pod, command, plugin, instructions, systemCalls }) => {
    const cells = [pod.padEnd(12), command.padEnd(5), plugin.padEnd(12)];
    return [...cells, (instructions / 1e6).toFixed(3).padStart(14), `${systemCalls}`.padStart(14)].join("");
  });
  return ["pod         verb plugin       M instructions  system calls", ...rows].join("\n");
}
