/**
 * Runs plugins on the instrumented engine, which counts how often each part of its code runs; scripts/engine then optimises the engine for these
 * counts. The plugins add and delete pods on the unit tests' fake node, which needs no root and gives the same counts each time.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setup as generateModules } from "../validators.ts";
import { buildExecutable } from "./executable.ts";
import { engineDirectory, instrumented } from "./toolchain.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const workDirectory = join(root, "build/instrumented");
const targetDirectory = join(workDirectory, "bin");

/** Every second pod has a host port and limits; every third one is not deleted. A command that fails ends the program. */
const training = `
  import { FakeNode } from "./test/lib/fake/node.ts";

  const limits = { ingressRate: 1e8, ingressBurst: 8e6, egressRate: 1e8, egressBurst: 8e6 };
  const node = () => new FakeNode();

  export function main() {
    const shared = node();
    for (let number = 0; number < 12; number++) live(shared, number);
    const dual = { ipam: { type: "calico-ipam", assign_ipv6: "true" } };
    for (let number = 0; number < 2; number++) live(node(), number, dual);
  }

  function live(node, number, conf = {}) {
    const container = "c" + number;
    const args = "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-" + number + ";K8S_POD_INFRA_CONTAINER_ID=" + container;
    const full = number % 2 === 0;
    const capabilities = {
      bandwidth: full ? { bandwidth: limits } : {},
      portmap: full ? { portMappings: [{ hostPort: 20000 + number, containerPort: 80, protocol: "tcp" }] } : {},
    };
    node.sandbox(container);
    const run = (command, plugin, prevResult) => {
      const runtimeConfig = capabilities[plugin] ?? {};
      const { status, json } = node.run(command, { plugin, container, args, conf: { ...conf, prevResult, runtimeConfig } });
      if (status !== 0) throw new Error(command + " of " + plugin + ": " + JSON.stringify(json));
      return json;
    };
    let result;
    for (const plugin of ["calico", "bandwidth", "portmap"]) result = run("ADD", plugin, result);
    if (number === 0) for (const plugin of ["calico", "bandwidth", "portmap"]) run("CHECK", plugin, result);
    if (number % 3 === 0) return;
    for (const plugin of ["portmap", "bandwidth", "calico"]) run("DEL", plugin, result);
  }
`;

await generateModules();
await buildExecutable({ programs: { training }, workDirectory, targetDirectory, define: {} }, instrumented);
// The counts of taking the image are not those of plugins.
for (const file of readdirSync(join(engineDirectory, "instrumented"))) {
  if (file.endsWith(".gcda")) rmSync(join(engineDirectory, "instrumented", file));
}
try {
  execFileSync(join(targetDirectory, "training"), { stdio: ["ignore", "pipe", "inherit"] });
} catch (error) {
  const { stdout } = error as { readonly stdout?: Buffer };
  process.stderr.write(`training: the plugins fail: ${stdout?.toString() || String(error)}\n`);
  process.exitCode = 1;
}
