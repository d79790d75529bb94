/** Installs on a private node as README.md tells: with its very commands. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Node } from "./netns.ts";
import { ourPluginDir, root } from "./suite.ts";

/** The plugins go to /opt/cni/bin, the usual conflist to /etc/cni/net.d, all in the node's own overlays. */
export function install(node: Node): void {
  const [, section = ""] = readFileSync(join(root, "README.md"), "utf8").split("\n## Use it\n");
  const commands = section.split("```")[1]?.match(/^install .*$/gm) ?? [];
  if (commands.length < 2) throw new Error('cannot install: README.md has no commands under "Use it"');
  node.sh(`cd ${root}\n${commands.join("\n").replaceAll("dist/bin/", `${ourPluginDir}/`)}`);
}
