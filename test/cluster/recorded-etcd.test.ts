/**
 * The recorded steps of Calico's own plugins on etcd, for containers without Kubernetes (`test/fixtures/calico-newest/etcd`), repeated with ours: every
 * key and value is the same except for UIDs, times and MAC addresses, and these differences:
 *
 *     attributes of an address      ours name the interface too: a container may have several in one network
 *     a node's first block          Calico's is chosen by Go's random number generator, seeded by the node's name; other programs do not depend on it
 *     a container's host interface  ours is named by a digest; Calico's by 11 characters of the ID, which two containers may share
 *     tiers, ClusterInformation     created by calicoctl and Calico's node, not by plugins
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseJson } from "../../src/store/json.ts";
import { Agent } from "../lib/cluster/agent.ts";
import { Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { type Block, comparableBlock, type Fields, renumbered } from "../lib/cluster/recorded.ts";
import { parseConflist } from "../lib/conflist.ts";
import { Node } from "../lib/node/netns.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { pluginDirs, root } from "../lib/suite.ts";

const recordings = join(root, "test/fixtures/calico-newest/etcd");
const blocks = "/calico/ipam/v2/assignment/";
const hosts = "/calico/ipam/v2/host/";
const handles = "/calico/ipam/v2/handle/";
const resources = "/calico/resources/v3/projectcalico.org";

const recordedBlocks: readonly Block[] = [
  { node: "rig-node", cidr: "192.168.230.0/26" },
  { node: "node-b", cidr: "192.168.218.64/26" },
];

interface Step {
  readonly name: string;
  readonly command: "add" | "del";
  readonly container: string;
  readonly node: string;
  /** By the recorded argument `IP`. */
  readonly address?: string;
}

const steps: readonly Step[] = [
  { name: "01-add-a", command: "add", container: "a", node: "rig-node" },
  { name: "02-add-b", command: "add", container: "b", node: "rig-node" },
  { name: "03-del-a", command: "del", container: "a", node: "rig-node" },
  { name: "04-add-c-on-node-b", command: "add", container: "c", node: "node-b" },
  { name: "05-add-d-ip", command: "add", container: "d", node: "rig-node", address: "192.168.230.40" },
];

describe.skipIf(etcdIsMissing !== undefined)(
  `what was recorded of Calico on etcd${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`,
  () => {
    let etcd: Etcd;
    let node: Node;
    let agent: Agent;
    let runner: Runner;

    beforeAll(async () => {
      etcd = await Etcd.start();
      node = await Node.start("rig");
      runner = new Runner({ node, pluginDirs });
      agent = await Agent.start(node, {
        ...{ ETCD_ENDPOINTS: etcd.endpoint, NODENAME: "rig-node", TORTIE_NODENAME_FROM_REQUEST: "true" },
        ...{ CALICO_IPV4POOL_CIDR: "192.168.0.0/16", FELIX_IPV6SUPPORT: "false" },
      });
    });
    afterAll(async () => {
      await agent?.stop();
      await node?.stop();
      await etcd?.stop();
    });

    async function ownBlocks(): Promise<readonly (Block | undefined)[]> {
      const values = Object.values(await etcd.dump(blocks)).map((value) => parseJson(value) as Fields);
      return recordedBlocks.map(({ node: name }) => {
        const cidr = values.find(({ affinity }) => affinity === `host:${name}`)?.cidr;
        return cidr === undefined ? undefined : { node: name, cidr: String(cidr) };
      });
    }

    test.each(steps)("$name", async ({ name, command, container, node: nodename, address }) => {
      const list = parseConflist(
        JSON.stringify({
          ...{ name: "net1", cniVersion: "1.0.0" },
          plugins: [{ type: "calico", datastore_type: "etcdv3", nodename, ipam: { type: "calico-ipam" } }],
        }),
      );
      const before = await ownBlocks();
      const own = address === undefined ? undefined : renumbered(address, recordedBlocks, before);
      const sandbox = {
        ...{ containerId: `sandbox-${container}`, netns: `/run/netns/${container}`, ifname: "eth0" },
        args: own === undefined ? [] : ([["IP", own]] as const),
      };
      if (command === "add") node.addPod(container);
      runner[command](list, sandbox);
      const dumped = renumbered(JSON.stringify(await etcd.dump("/calico/")), await ownBlocks(), recordedBlocks);
      const recorded = readFileSync(join(recordings, `${name}.keys.json`), "utf8");
      expect(comparable(dumped)).toEqual(comparable(recorded));
    });
  },
);

/** The plugins' objects, by key, without values that differ between runs. */
function comparable(text: string): Fields {
  const entries = Object.entries(JSON.parse(text) as Readonly<Record<string, string>>).flatMap(([key, value]) => {
    const read = parseJson(value) as Fields;
    if (key.startsWith(blocks)) return [[key, comparableBlock(read)] as const];
    if (key.startsWith(hosts) || key.startsWith(handles)) return [[key, read] as const];
    const isOurs = ["workloadendpoints", "profiles"].some((kind) => key.startsWith(`${resources}/${kind}/`));
    return isOurs ? [[key, comparableResource(read)] as const] : [];
  });
  return Object.fromEntries(entries);
}

function comparableResource({ metadata, spec, ...others }: Fields): Fields {
  const { uid, creationTimestamp, ...more } = metadata as Fields;
  const { mac, interfaceName, ...rest } = spec as Fields;
  const has = {
    uid: typeof uid,
    creationTimestamp: typeof creationTimestamp,
    mac: typeof mac,
    interfaceName: typeof interfaceName,
  };
  return { ...others, metadata: more, spec: rest, has };
}
