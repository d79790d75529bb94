/** Installs on a private node with the very commands of README.md. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ourPluginDir, root } from "../suite.ts";
import type { Node } from "./netns.ts";

/** Installs the plugins to /opt/cni/bin and the usual conflist to /etc/cni/net.d, both in the node's own overlays. */
export function install(node: Node): void {
  const [command] = block("npm run build").match(/^node dist\/tortie.js install .*$/m) ?? [];
  if (command === undefined) throw new Error("cannot install: README.md does not say how");
  node.sh(`cd ${root}\n${command.replace(/^node/, process.execPath)} --from ${ourPluginDir}`);
}

/** The same with the commands of docs/operations.md for a node without Node. */
export function installByShell(node: Node): void {
  node.sh(`set -e\ncd ${root}\n${linesForShell("mkdir ").replaceAll("dist/bin/", `${ourPluginDir}/`)}`);
}

export function uninstallByShell(node: Node): void {
  node.sh(`set -e\n${linesForShell("rm -f ")}`);
}

/** The block of docs/operations.md that begins with `start`. */
function linesForShell(start: string): string {
  const blocks = readFileSync(join(root, "docs/operations.md"), "utf8").split(/^```\n/m);
  const found = blocks.find((text) => text.startsWith(start));
  if (found === undefined) throw new Error(`docs/operations.md has no block "${start}"`);
  return found;
}

/** The lines that podman's containers.conf needs. */
export function podmanNetworkConf(): string {
  return block("[network]");
}

/** The block under "Install" that begins with `start`. */
function block(start: string): string {
  const [, section = ""] = readFileSync(join(root, "README.md"), "utf8").split("\n## Install\n");
  const found = section.split(/^```\n/m).find((text) => text.startsWith(start));
  if (found === undefined) throw new Error(`cannot install: README.md has no block "${start}" under "Install"`);
  return found;
}
