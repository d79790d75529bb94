/** The state of a node with its addresses: a snapshot, and a line for each assigned address. */
import { redirectedSys } from "../../../src/cli/node/redirected-sys.ts";
import { nodeSys } from "../../../src/host/node/node.ts";
import { runDir, stateDir } from "../../../src/identity/names.ts";
import { attributeAt, decodeBlock } from "../../../src/ipam/model/block.ts";
import { blockAddress } from "../../../src/ipam/model/ordinal.ts";
import { fileStore } from "../../../src/store/file/store.ts";
import { blockCidrOf } from "../../../src/store/object-name.ts";
import { drive, list } from "../../../src/store/transaction.ts";
import { leaks } from "./kept.ts";
import type { Node } from "./netns.ts";
import { diff, snapshot } from "./snapshot.ts";

/** Compare it with `diff`, like a snapshot: the snapshot's lines, then `address 192.168.0.1 of <handle>` and `handle <name>`. */
export function stateOf(node: Node): string {
  return [snapshot(node), ...addressLines(node)].join("\n");
}

/** Unexplained lines that stay or are missing; the kernel gets a second to dismantle namespaces in the background. */
export async function residue(node: Node, before: string, alsoKept?: RegExp): Promise<readonly string[]> {
  const left = () => leaks(diff(before, stateOf(node))).filter((line) => !alsoKept?.test(line));
  // Let the test runner communicate; the test itself never pauses.
  await new Promise((resolve) => setImmediate(resolve));
  let lines = left();
  for (let tries = 0; lines.length > 0 && tries < 4; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    lines = left();
  }
  return lines;
}

function addressLines(node: Node): readonly string[] {
  const directories = { run: node.outerPath(runDir), state: node.outerPath(stateDir) };
  const store = fileStore(redirectedSys(nodeSys, directories, () => undefined));
  const handles = drive(list("IPAMHandle"), store).map(({ metadata }) => metadata.name);
  const blocks = drive(list("IPAMBlock"), store).map(
    (object) => decodeBlock(object, blockCidrOf(object.metadata.name) ?? "").spec,
  );
  const addresses = blocks.flatMap((spec) =>
    spec.allocations.flatMap((index, ordinal) =>
      index === null ? [] : [`address ${blockAddress(spec, ordinal)} of ${attributeAt(spec, ordinal)?.handle_id}`],
    ),
  );
  return [...handles.map((name) => `handle ${name}`), ...addresses].sort();
}
