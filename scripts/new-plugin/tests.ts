/** The tests of a new plugin: its answers until it is implemented. */
import type { NewPlugin } from "./files.ts";

/** Path to text. */
export function newTests({ name }: NewPlugin): Readonly<Record<string, string>> {
  return { [`test/unit/${name}/main.test.ts`]: unitTest(name), [`test/netns/${name}.test.ts`]: netnsTest(name) };
}

function unitTest(name: string): string {
  return `import { expect, test } from "vitest";
import { supportedVersions } from "../../../src/cni/version.ts";
import { FakeNode } from "../../lib/fake/node.ts";

test("${name}: VERSION answers with all versions", () => {
  const { status, json } = new FakeNode().run("VERSION", { plugin: "${name}" });
  expect(status).toBe(0);
  expect(json.supportedVersions).toEqual(supportedVersions);
});

test.each(["ADD", "CHECK", "DEL", "GC", "STATUS"])("${name}: %s says that it is not implemented, and makes nothing", (command) => {
  const node = new FakeNode();
  node.sandbox("c1");
  const before = node.state();
  const conf = { prevResult: { cniVersion: "1.1.0" }, "cni.dev/valid-attachments": [] };
  const { status, json } = node.run(command, { plugin: "${name}", conf });
  expect(status).toBe(1);
  expect(json.msg).toBe(\`cannot run \${command}: plugin "${name}" is not implemented\`);
  expect(node.state()).toBe(before);
});
`;
}

function netnsTest(name: string): string {
  return `/** \`${name}\` on a real kernel. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Node } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { pluginDirs, requireBuild } from "../lib/suite.ts";

let node: Node;

beforeAll(async () => {
  requireBuild();
  node = await Node.start();
});

afterAll(async () => {
  await node?.stop();
});

test("${name}: ADD says that it is not implemented, and makes nothing", () => {
  const runner = new Runner({ node, pluginDirs });
  const pod = { containerId: "c1", netns: node.addPod("c1"), ifname: "eth0" };
  const before = snapshot(node);
  const request = { cniVersion: "1.0.0", name: "net1", type: "${name}", prevResult: { cniVersion: "1.0.0" } };
  const { status, stdout } = runner.tryExec("ADD", "${name}", request, pod);
  expect(status).toBe(1);
  expect(JSON.parse(stdout).msg).toContain("is not implemented");
  expect(diff(before, snapshot(node))).toEqual([]);
});
`;
}
