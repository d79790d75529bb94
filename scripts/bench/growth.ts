/**
 * `npm run bench -- --growth`: whether an operation costs the same however much the node holds: host ports, endpoints and addresses of other
 * attachments, and routes and rules of other programs. One node for each kind and number; each round visits all of them.
 */
import { writeFileSync } from "node:fs";
import type { Node } from "../../test/lib/node/netns.ts";
import type { Runner, Sandbox } from "../../test/lib/runtimes/runner.ts";
import { ratios, type Spread, spreadOf } from "./comparison.ts";
import { fillStore } from "./ipam.ts";
import { type Measure, measure, type SharedNode, type Suite } from "./measure.ts";
import type { Scenario } from "./scenarios.ts";

export const growthKinds = ["host-ports", "endpoints", "addresses", "routes", "rules"] as const;
export type GrowthKind = (typeof growthKinds)[number];

export interface GrowthLine {
  readonly kind: GrowthKind;
  readonly size: number;
  readonly operation: string;
  readonly wallMs: Spread;
  /** Ratios to the same operation on the node with none, within a round. */
  readonly wall: Spread;
  readonly cpu: Spread;
}

export interface GrowthOptions {
  readonly suite: Suite;
  readonly scenario: Scenario;
  readonly sizes: readonly number[];
  readonly rounds: number;
}

/** What counts as flat. */
const maxRatio = 1.3;
const portsOfOne = 100;

export async function benchGrowth({ suite, scenario, sizes, rounds }: GrowthOptions): Promise<readonly GrowthLine[]> {
  const cases = growthKinds.flatMap((kind) => sizes.map((size) => ({ kind, size })));
  const nodes = cases.map(({ kind, size }): SharedNode => {
    const named = { ...scenario, name: `${kind}-${size}` };
    return { suite, scenarios: [named], fill: (node, runner) => fill(node, runner, { kind, size, scenario }) };
  });
  const measures = await measure({ nodes, rounds, parallel: 1 });
  return cases.flatMap(({ kind, size }) =>
    ["add", "check", "del"].map((operation) => lineOf(measures, kind, size, operation)),
  );
}

interface Filling {
  readonly kind: GrowthKind;
  readonly size: number;
  readonly scenario: Scenario;
}

/** Addresses come first: the default pool would otherwise be created beside the filled one. */
function fill(node: Node, runner: Runner, { kind, size, scenario }: Filling): void {
  if (kind === "addresses" && size > 0) fillStore(node, 1, size);
  const standing = sandboxOf(node, "standing", scenario.standing ?? {});
  runner.add(scenario.ours, standing);
  if (size === 0) return;
  if (kind === "host-ports") addPorts(node, runner, size, scenario);
  if (kind === "endpoints") copyRecord(node, scenario.ours.name, size);
  if (kind === "routes") {
    node.sh("ip link add filled type veth peer name filled-end; ip link set filled up; ip link set filled-end up");
    batch(
      node,
      numbers(size, (n) => `route add 100.64.${n >> 8}.${n & 255} dev filled`),
    );
  }
  if (kind === "rules")
    batch(
      node,
      numbers(size, (n) => `rule add pref ${1000 + n} from 100.64.${n >> 8}.${n & 255} lookup 100`),
    );
}

function sandboxOf(node: Node, containerId: string, capabilities: Sandbox["capabilities"]): Sandbox {
  return { containerId, netns: node.addPod(containerId), ifname: "eth0", ...(capabilities && { capabilities }) };
}

/** Of attachments with a hundred ports each. */
function addPorts(node: Node, runner: Runner, size: number, { ours }: Scenario): void {
  for (let first = 0; first < size; first += portsOfOne) {
    const portMappings = numbers(Math.min(portsOfOne, size - first), (n) => {
      return { hostPort: 30_000 + first + n, containerPort: 80, protocol: "tcp" };
    });
    runner.add(ours, sandboxOf(node, `filled-${first}`, { portMappings }));
  }
}

/** The standing pod's record under other container IDs. */
function copyRecord(node: Node, network: string, size: number): void {
  const directory = "/run/tortie/endpoints";
  const name = `${network}:standing:eth0.json`;
  const text = node.sh(`cat '${directory}/${name}'`);
  for (let n = 0; n < size; n++) {
    const copy = text.replaceAll("standing", `filled-${n}`);
    writeFileSync(node.outerPath(`${directory}/${name.replace("standing", `filled-${n}`)}`), copy, { mode: 0o600 });
  }
}

function batch(node: Node, lines: readonly string[]): void {
  writeFileSync(node.outerPath("/run/batch"), `${lines.join("\n")}\n`);
  node.sh("ip -batch /run/batch");
}

function numbers<T>(count: number, of: (n: number) => T): readonly T[] {
  return Array.from({ length: count }, (_, n) => of(n));
}

function lineOf(all: readonly Measure[], kind: GrowthKind, size: number, operation: string): GrowthLine {
  const of = (count: number) => all.filter((one) => one.scenario === `${kind}-${count}` && one.operation === operation);
  const [base, mine] = [of(0), of(size)];
  return {
    ...{ kind, size, operation },
    wallMs: spreadOf(mine.map(({ wallUs }) => wallUs / 1000)),
    wall: ratios(mine, base, ({ wallUs }) => wallUs),
    cpu: ratios(mine, base, ({ cpuUs }) => cpuUs),
  };
}

export function isFlatGrowth({ wall, cpu }: GrowthLine): boolean {
  return Math.max(wall.median, cpu.median) <= maxRatio;
}

export function growthTable(lines: readonly GrowthLine[]): string {
  const head = `others      number  operation       ms  ${"wall ratio".padEnd(20)}  CPU ratio`;
  const text = ({ median, lower, upper }: Spread) =>
    `${median.toFixed(2)} [${lower.toFixed(2)}, ${upper.toFixed(2)}]`.padEnd(20);
  const rows = lines.map(({ kind, size, operation, wallMs, wall, cpu }) => {
    const cells = [
      kind.padEnd(10),
      `${size}`.padStart(8),
      "  ",
      operation.padEnd(9),
      wallMs.median.toFixed(2).padStart(9),
    ];
    return `${cells.join("")}  ${text(wall)}  ${text(cpu)}`.trimEnd();
  });
  return [head, ...rows, "", "ratio: to a node without such objects, within a round, median [quartiles]"].join("\n");
}
