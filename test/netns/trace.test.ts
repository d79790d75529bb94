/** `TORTIE_TRACE` on the real kernel: the processes of a chain append to one file, which `tortie profile` shows. */
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { operationsOf, readTrace } from "../../src/cli/profile/trace.ts";
import { startOf } from "../../src/cli/profile/waterfall.ts";
import { loadConflist } from "../lib/conflist.ts";
import { Node } from "../lib/node/netns.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, ourPluginDir, requireBuild, root } from "../lib/suite.ts";

const list = loadConflist(example("10-calico-limits.conflist"));
const file = "/run/trace";
let node: Node;
let pod: Sandbox;

beforeAll(async () => {
  requireBuild();
  node = await Node.start("traced");
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
  const bandwidth = { ingressRate: 1e8, ingressBurst: 8e6, egressRate: 1e8, egressBurst: 8e6 };
  pod = {
    containerId: "c1",
    netns: node.addPod("c1"),
    ifname: "eth0",
    capabilities: { portMappings, bandwidth },
  };
});

afterAll(() => node.stop());
beforeEach(() => void node.sh(`rm -rf ${file}`));

function runner(trace: string): Runner {
  return new Runner({ node, pluginDirs: [ourPluginDir], wrap: ["env", `TORTIE_TRACE=${trace}`] });
}

test("an ADD and a DEL of a chain are in one file, with every process, and its times add up", () => {
  const traced = runner(file);
  traced.add(list, pod);
  traced.del(list, pod);
  const operations = operationsOf(readTrace(node.sh(`cat ${file}`)));
  expect(operations.map(({ command, processes }) => [command, ...processes.map(({ plugin }) => plugin)])).toEqual([
    ["ADD", "calico", "bandwidth", "portmap"],
    ["DEL", "portmap", "bandwidth", "calico"],
  ]);
  for (const process of operations.flatMap(({ processes }) => processes)) {
    const { phases, calls, at, end, cpu, startCpu } = process;
    expect(startCpu).toBeGreaterThan(0);
    expect(cpu).toBeGreaterThan(startCpu);
    expect(cpu).toBeLessThan(end - startOf(process) + 1e6);
    expect(phases[0]?.at).toBe(at);
    for (const [index, phase] of phases.entries()) {
      const next = phases[index + 1];
      if (next !== undefined) expect(next.at - (phase.at + phase.took)).toBeLessThan(5e6);
    }
    for (const call of calls) expect(call.at + call.took).toBeLessThanOrEqual(end);
  }
  const [calico] = operations[0]?.processes ?? [];
  expect(calico?.phases.map(({ phase }) => phase)).toEqual([
    ...["input", "configuration", "calico", "calico-ipam", "calico", "answer"],
  ]);
  expect(calico?.calls.some(({ call, messages }) => call === "send" && messages?.[0] === 16)).toBe(true);
  expect(statSync(node.outerPath(file)).mode & 0o777).toBe(0o600);
});

test("`tortie profile` shows it as text and as SVG", () => {
  runner(file).add(list, pod);
  const profile = (...options: string[]) =>
    execFileSync(process.execPath, [join(root, "dist/tortie.js"), "profile", node.outerPath(file), ...options], {
      encoding: "utf8",
    });
  const text = profile("--min", "0");
  expect(text).toMatch(/^ADD c1 eth0: [\d.]+ ms; [\d.]+ ms on a CPU, [\d.]+ ms waiting for one\n/);
  expect(text).toMatch(/ {4}send route NEWLINK, GETLINK\n/);
  expect(text).toMatch(/ {4}send netfilter BATCH_BEGIN, .*NEWSETELEM.*, BATCH_END\n/);
  expect(text).not.toMatch(/send \w+ \d/);
  expect(profile("-o", "svg")).toMatch(/^<svg [\s\S]*<title>send route NEWLINK, GETLINK: [\s\S]*<\/svg>\n$/);
  runner("").del(list, pod);
});

test.each([
  ["a symbolic link", `ln -s /run/elsewhere ${file}`],
  ["a FIFO", `mkfifo ${file}`],
  ["a directory", `mkdir ${file}`],
])("%s in the file's place is not followed, and the operation succeeds", (_, plant) => {
  node.sh(plant);
  const traced = runner(file);
  traced.add(list, pod);
  traced.del(list, pod);
  expect(node.sh("ls /run/elsewhere 2>&1 || true")).toContain("No such file");
});

test("an operation without the variable writes no file", () => {
  const plain = new Runner({ node, pluginDirs: [ourPluginDir] });
  plain.add(list, pod);
  plain.del(list, pod);
  expect(node.sh(`ls ${file} 2>&1 || true`)).toContain("No such file");
});
