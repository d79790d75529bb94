/** A plugin directory of mixed origin on a node: each name is a link to our plugin or to the Go plugin. */
import type { Node } from "../node/netns.ts";
import { goPluginDir, ourPluginDir, suite } from "../suite.ts";

/** Plugins without a counterpart in our suite. */
const onlyGo = ["bridge", "firewall", "host-local", "static", "tuning"];

/** Creates the directory on the node and returns its path: Go's plugins for the names in `fromGo`, ours for the rest of our suite. */
export function mixture(node: Node, name: string, fromGo: readonly string[] = []): string {
  const directory = `/run/.node/mixture/${name}`;
  const ours = suite.filter((type) => !fromGo.includes(type)).map((type) => `${ourPluginDir}/${type}`);
  const theirs = [...onlyGo, ...fromGo].map((type) => `${goPluginDir}/${type}`);
  node.sh(`mkdir -p ${directory}; ln -sf ${[...ours, ...theirs].join(" ")} ${directory}/`);
  return directory;
}
