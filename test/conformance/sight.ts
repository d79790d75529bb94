/** What a row sees of a node: objects of the kernel and files, without logs. */
import type { Node } from "../lib/node/netns.ts";
import { snapshot } from "../lib/node/snapshot.ts";

export interface Sight {
  /** One line per object; a file is known by its path alone, for what counters and pointers say changes with every container. */
  readonly lines: ReadonlySet<string>;
  /** The same with the files' checksums. */
  readonly text: string;
}

export function sightOf(node: Node): Sight {
  // A log tells what happened, also of what is gone.
  const all = snapshot(node)
    .split("\n")
    .filter((line) => !line.startsWith("file /var/log/"));
  const withoutContent = (line: string) => (line.startsWith("file ") ? line.replace(/ \d+ \d+ *$/, "") : line);
  return { text: all.join("\n"), lines: new Set(all.map(withoutContent)) };
}

/** Files that hold one of these texts. */
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
