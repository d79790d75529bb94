/**
 * Runs the chains of several suites of plugins with `driver.c`. Each suite has its own nodes, because the firewall rules that one leaves
 * behind slow down the next. Rounds are interleaved: every chain of every suite runs once per round, so that ratios within a round are
 * affected least by changes in the load of the machine.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa, execaSync } from "execa";
import type { Conflist, JsonObject } from "../../test/lib/conflist.ts";
import { Node } from "../../test/lib/node/netns.ts";
import { Runner, requestOf } from "../../test/lib/runtimes/runner.ts";
import { root } from "../../test/lib/suite.ts";
import type { Scenario } from "./scenarios.ts";

export const workDir = join(root, "build/bench");
const warmUpRounds = 2;

/** A directory of plugins; `list` selects the conflist of a scenario that they run. */
export interface Suite {
  readonly name: string;
  readonly list: "go" | "ours";
  readonly directory: string;
  /** Which scenarios it can run; absent: all. */
  readonly serves?: (scenario: Scenario) => boolean;
}

/** A node, and the chains that run on it. */
export interface SharedNode {
  readonly suite: Suite;
  readonly scenarios: readonly Scenario[];
  /** Fills the node; absent: adds the standing pod of the scenarios. */
  readonly fill?: (node: Node, runner: Runner) => void;
}

export interface MeasureOptions {
  readonly nodes: readonly SharedNode[];
  readonly rounds: number;
  readonly parallel: number;
}

/** One line of the driver's output. */
export interface Measure {
  readonly suite: string;
  readonly scenario: string;
  readonly operation: string;
  readonly round: number;
  readonly wallUs: number;
  readonly cpuUs: number;
  readonly peakKib: number;
}

export async function measure(options: MeasureOptions): Promise<readonly Measure[]> {
  const driver = buildDriver();
  const nodes: Node[] = [];
  try {
    const lines: string[] = [];
    for (const shared of options.nodes) {
      const node = await prepare(shared, options.parallel);
      nodes.push(node);
      lines.push(`node ${node.pid}`, ...shared.scenarios.flatMap((scenario) => chainLines(shared.suite, scenario)));
    }
    const plan = join(workDir, "plan");
    writeFileSync(plan, `${lines.join("\n")}\n`);
    const argv = [plan, `${options.rounds + warmUpRounds}`, `${options.parallel}`];
    const { exitCode, stdout, stderr } = await execa(driver, argv, { reject: false });
    if (exitCode !== 0) throw new Error(`cannot measure: ${stderr}`);
    return stdout
      .split("\n")
      .map(parseMeasure)
      .filter(({ round }) => round >= warmUpRounds);
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
  }
}

/** Static and small: a child starts as a copy of the driver, whose size would otherwise show in the measurements. */
export function buildDriver(): string {
  mkdirSync(workDir, { recursive: true });
  const driver = join(workDir, "driver");
  const source = join(root, "scripts/bench/driver.c");
  execaSync("musl-gcc", ["-static", "-O2", "-Wall", "-Werror", "-o", driver, source], { stdio: "inherit" });
  return driver;
}

/** One node per network, so that pods of one chain are never the first or last pod that another chain finds. */
export function nodesFor(suites: readonly Suite[], scenarios: readonly Scenario[]): readonly SharedNode[] {
  const key = ({ standing, ours }: Scenario) => `${JSON.stringify(standing)} ${ours.text}`;
  return [...new Set(scenarios.map(key))].flatMap((wanted) => {
    const alike = scenarios.filter((scenario) => key(scenario) === wanted);
    return suites
      .map((suite) => ({ suite, scenarios: alike.filter((scenario) => suite.serves?.(scenario) !== false) }))
      .filter((shared) => shared.scenarios.length > 0);
  });
}

async function prepare({ suite, scenarios, fill }: SharedNode, pods: number): Promise<Node> {
  const node = await Node.start("bench");
  for (let i = 0; i < pods; i++) node.addPod(`bench${i}`);
  const runner = new Runner({ node, pluginDirs: [suite.directory] });
  const [first] = scenarios;
  if (fill !== undefined) fill(node, runner);
  else if (first?.standing !== undefined) {
    const sandbox = { containerId: "bench-standing-999", netns: node.addPod("standing"), ifname: "eth0" };
    runner.add(first[suite.list], { ...sandbox, capabilities: first.standing });
  }
  return node;
}

/** The first plugin gets `"prevResult": null` where libcni leaves the key out; all plugins read it as absent. */
function chainLines({ name, list, directory }: Suite, scenario: Scenario): readonly string[] {
  const chain = `${name}.${scenario.name}`;
  const plugins = scenario[list].plugins.map((plugin, index) => {
    const path = join(directory, plugin.type);
    if (!existsSync(path)) throw new Error(`cannot measure ${chain}: no plugin at ${path}`);
    const file = join(workDir, `${name}-${scenario.name}-${index}.json`);
    writeFileSync(file, JSON.stringify(requestFor(scenario[list], plugin, scenario.capabilities)));
    return `plugin ${path} ${file}`;
  });
  const operations = list === "ours" || scenario.canGoCheck ? "add,check,del" : "add,del";
  return [`chain ${chain} ${operations} CNI_PATH=${directory}`, ...plugins];
}

function requestFor(list: Conflist, plugin: Conflist["plugins"][number], capabilities: JsonObject): JsonObject {
  const sandbox = { containerId: "", netns: "", ifname: "eth0", capabilities };
  return { ...requestOf(list, plugin, { sandbox }), prevResult: "@prevResult@" };
}

function parseMeasure(line: string): Measure {
  const [chain = "", operation = "", ...numbers] = line.split(" ");
  const [suite = "", scenario = ""] = chain.split(".");
  const [round = 0, wallUs = 0, cpuUs = 0, peakKib = 0] = numbers.map(Number);
  return { suite, scenario, operation, round, wallUs, cpuUs, peakKib };
}
