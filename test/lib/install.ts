/** Installs on a private node as README.md tells: with its very words. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Node } from "./netns.ts";
import { ourPluginDir, root } from "./suite.ts";

/** The plugins go to /opt/cni/bin, the usual conflist to /etc/cni/net.d, all in the node's own overlays. */
export function install(node: Node): void {
  const commands = block("npm run build").match(/^install .*$/gm) ?? [];
  node.sh(`cd ${root}\n${commands.join("\n").replaceAll("dist/bin/", `${ourPluginDir}/`)}`);
}

/** What podman's containers.conf needs. */
export function podmanNetworkConf(): string {
  return block("[network]");
}

/** The block under "Use it" that begins so. */
function block(start: string): string {
  const [, section = ""] = readFileSync(join(root, "README.md"), "utf8").split("\n## Use it\n");
  const found = section.split(/^```\n/m).find((text) => text.startsWith(start));
  if (found === undefined) throw new Error(`cannot install: README.md has no block "${start}" under "Use it"`);
  return found;
}
