/** A plugin directory of mixed origin on a node: for each name a link to our plugin or to the Go plugin. */
import type { Node } from "../node/netns.ts";
import { goPluginDir, ourPluginDir, suite } from "../suite.ts";

/** What our suite has no counterpart for. */
const onlyGo = ["bridge", "firewall", "host-local", "static", "tuning"];

/** Makes the directory on the node and returns its path: plugins that `fromGo` names are Go's, the rest of our suite is ours. */
export function mixture(node: Node, name: string, fromGo: readonly string[] = []): string {
  const directory = `/run/.node/mixture/${name}`;
  const ours = suite.filter((type) => !fromGo.includes(type)).map((type) => `${ourPluginDir}/${type}`);
  const theirs = [...onlyGo, ...fromGo].map((type) => `${goPluginDir}/${type}`);
  node.sh(`mkdir -p ${directory}; ln -sf ${[...ours, ...theirs].join(" ")} ${directory}/`);
  return directory;
}
