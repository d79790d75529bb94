/** The parts of a node's state that rows compare: kernel objects and files, without logs. */
import type { Node } from "../lib/node/netns.ts";
import { snapshot } from "../lib/node/snapshot.ts";

export interface Sight {
  /** One line per object; for a file only its path, because counters and pointers in files change with every container. */
  readonly lines: ReadonlySet<string>;
  /** The same with checksums of the files. */
  readonly text: string;
}

export function sightOf(node: Node): Sight {
  // A log describes past events, including those of deleted containers.
  const all = snapshot(node)
    .split("\n")
    .filter((line) => !line.startsWith("file /var/log/"));
  const withoutContent = (line: string) => (line.startsWith("file ") ? line.replace(/ \d+ \d+ *$/, "") : line);
  return { text: all.join("\n"), lines: new Set(all.map(withoutContent)) };
}

/** Files that contain one of these texts. */
export function filesNaming(node: Node, texts: readonly string[]): readonly string[] {
  const script = `
cd /run; grep -rlF --exclude-dir=.node --exclude-dir=netns -f /run/.node/texts . | sed 's#^.#/run#'
for directory in etc opt var/lib; do
  cd /run/.node/$directory/upper 2>/dev/null || continue
  grep -rlF -f /run/.node/texts . | sed "s#^.#/$directory#"
done
true`;
  node.sh("cat > /run/.node/texts", { stdin: texts.join("\n") });
  const found = node.sh(script);
  return found.split("\n").filter((line) => line !== "");
}
