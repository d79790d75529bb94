/** The recorded cluster of `test/fixtures/calico-newest`, and what Felix made of it in three modes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeObject } from "../../../../src/store/kubernetes/objects.ts";
import type { Raw } from "../../../../src/store/kubernetes/resources.ts";
import type { StoredObject } from "../../../../src/store/object.ts";
import { root } from "../../../lib/suite.ts";
import type { Cluster } from "./cluster.ts";

const recordings = join(root, "test/fixtures/calico-newest");
export const node = "rig-node";
/** Felix found no interface with a well-known name. */
export const uplink = { name: "uplink0", mtu: 1460, addresses: ["172.31.250.1/24"] };

function read(path: string): unknown {
  return JSON.parse(readFileSync(join(recordings, path), "utf8"));
}

/** The pools, blocks and nodes, with the first pools in this `vxlanMode`. */
export function recordedCluster(mode: string): Cluster {
  const raw = read("kubernetes/10-add-ps.objects.json") as readonly (Raw & { readonly kind: "IPPool" | "IPAMBlock" })[];
  const objects = raw.flatMap((one) =>
    one.kind === "IPPool" || one.kind === "IPAMBlock" ? decodeObject(one.kind, one, "crd.projectcalico.org/v1") : [],
  );
  const pools = objects.filter(({ kind }) => kind === "IPPool");
  const nodes = read("kubernetes/nodes.json") as readonly { readonly name: string; readonly annotations: object }[];
  return {
    pools: pools.map((pool) => (pool.metadata.name === "small" ? pool : withMode(pool, mode))),
    blocks: objects.filter(({ kind }) => kind === "IPAMBlock"),
    nodes: nodes.map(({ name, annotations }) =>
      decodeObject("Node", { metadata: { name, annotations } } as unknown as Raw, "crd.projectcalico.org/v1"),
    ),
  };
}

function withMode(pool: StoredObject, vxlanMode: string): StoredObject {
  return { ...pool, spec: { ...(pool.spec as object), vxlanMode } };
}

/** The lines of the recording under a command. */
export function section(text: string, command: string): readonly string[] {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`# ${command}`));
  const end = lines.findIndex((line, index) => index > start && line.startsWith("# "));
  return lines.slice(start + 1, end).map((line) => line.trim());
}

/** What Felix made of it: the output of commands under their names. */
export function recordingOf(mode: string): string {
  return readFileSync(join(recordings, `felix/vxlanMode-${mode}.txt`), "utf8");
}
