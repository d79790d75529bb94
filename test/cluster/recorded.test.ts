/**
 * The recorded steps of Calico's own plugins on a real kube-apiserver (`test/fixtures/calico-newest`), repeated with ours: the objects and the pods'
 * annotations are the same except for UIDs, times and MAC addresses, and these differences:
 *
 *     attributes of an address      ours name the interface too: a container may have several in one network
 *     a node's first block          Calico's is chosen by Go's random number generator, seeded by the node's name; other programs do not depend on it
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseJson, stringifyJson } from "../../src/store/json.ts";
import { Agent } from "../lib/cluster/agent.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { KubeApiserver } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { createDefaultAccount, createNode, podOn, podsPath } from "../lib/cluster/kubernetes-objects.ts";
import { comparableBlock, type Fields, renumbered } from "../lib/cluster/recorded.ts";
import { type Conflist, loadConflist } from "../lib/conflist.ts";
import { Node } from "../lib/node/netns.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { pluginDirs, root } from "../lib/suite.ts";

const whyNot = etcdIsMissing ?? kubeApiserverIsMissing;
const recordings = join(root, "test/fixtures/calico-newest/kubernetes");
const calico = "/apis/crd.projectcalico.org/v1";
const prefix = "cni.projectcalico.org/";
const kinds = { ipamblocks: "IPAMBlock", blockaffinities: "BlockAffinity", ipamhandles: "IPAMHandle" } as const;

interface Step {
  readonly name: string;
  readonly command: "add" | "del";
  readonly pod: string;
  readonly node: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** In the block that rig-node claimed. */
const namedAddress = "192.168.230.40";

const steps: readonly Step[] = [
  { name: "01-add-p1", command: "add", pod: "p1", node: "rig-node" },
  { name: "02-add-p2", command: "add", pod: "p2", node: "rig-node" },
  { name: "03-del-p1", command: "del", pod: "p1", node: "rig-node" },
  { name: "04-add-p3", command: "add", pod: "p3", node: "rig-node" },
  { name: "05-add-pb", command: "add", pod: "pb", node: "node-b" },
  { name: "06-add-pc", command: "add", pod: "pc", node: "node-c" },
  { name: "07-add-px", command: "add", pod: "px", node: "rig-node", annotations: { ipAddrs: `["${namedAddress}"]` } },
  {
    name: "08-add-pn",
    command: "add",
    pod: "pn",
    node: "rig-node",
    annotations: { ipAddrsNoIpam: '["80.90.100.200"]' },
  },
  {
    ...{ name: "09-add-pf", command: "add", pod: "pf", node: "rig-node" },
    annotations: { hwAddr: "0a:00:00:00:00:05", floatingIPs: '["172.31.250.113"]' },
  },
  { name: "10-add-ps", command: "add", pod: "ps", node: "rig-node", annotations: { ipv4pools: '["small"]' } },
];
/** The recorded blocks, by node and pool. */
const recordedBlocks = [
  { node: "rig-node", pool: "192.168.", cidr: "192.168.230.0/26" },
  { node: "node-b", pool: "192.168.", cidr: "192.168.218.64/26" },
  { node: "node-c", pool: "192.168.", cidr: "192.168.99.192/26" },
  { node: "rig-node", pool: "10.77.", cidr: "10.77.0.0/29" },
] as const;

interface Raw {
  readonly kind: string;
  readonly metadata: Fields & { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: Fields;
}

describe.skipIf(whyNot !== undefined)(`what was recorded of Calico${whyNot ? `: ${whyNot}` : ""}`, () => {
  let api: KubeApiserver;
  let node: Node;
  let agent: Agent;
  let runner: Runner;

  beforeAll(async () => {
    api = await KubeApiserver.start();
    node = await Node.start("rig");
    runner = new Runner({ node, pluginDirs });
    await createDefaultAccount(api);
    for (const name of ["rig-node", "node-b", "node-c"]) await createNode(api, name);
    for (const { kind, metadata, spec } of recorded("01-add-p1").filter((object) => object.kind === "IPPool"))
      await call("POST", `${calico}/ippools`, {
        ...{ apiVersion: "crd.projectcalico.org/v1", kind, metadata: { name: metadata.name } },
        spec,
      });
    agent = await Agent.start(node, {
      ...{ DATASTORE_TYPE: "kubernetes", KUBECONFIG: api.kubeconfig, NODENAME: "rig-node" },
      ...{ TORTIE_NODENAME_FROM_REQUEST: "true", NO_DEFAULT_POOLS: "true" },
    });
  }, buildTimeoutMs);
  afterAll(async () => {
    await agent?.stop();
    await node?.stop();
    await api?.stop();
  });

  const call = (method: string, path: string, body?: object) => api.json<Fields>(method, path, body);

  async function addPod({ pod, node: nodeName, annotations = {} }: Step): Promise<void> {
    node.addPod(pod);
    const blocks = await blocksOf();
    const own = Object.fromEntries(
      Object.entries(annotations).map(([name, value]) => [prefix + name, renumbered(value, recordedBlocks, blocks)]),
    );
    await call("POST", podsPath, podOn(nodeName, pod, { annotations: own }));
  }

  /** The blocks that each node has, in the order of `recordedBlocks`. */
  async function blocksOf(): Promise<readonly (string | undefined)[]> {
    const { items } = await call("GET", `${calico}/blockaffinities`);
    const affinities = (items as readonly Raw[]).map(
      ({ spec }) => spec as { readonly node: string; readonly cidr: string },
    );
    return recordedBlocks.map(
      ({ node: owner, pool }) =>
        affinities.find(({ node: name, cidr }) => name === owner && cidr.startsWith(pool))?.cidr,
    );
  }

  async function stored(): Promise<readonly Raw[]> {
    const lists = await Promise.all(
      Object.entries(kinds).map(async ([plural, kind]) => {
        const { items } = await call("GET", `${calico}/${plural}`);
        return (items as readonly Raw[]).map((item) => ({ ...item, kind }));
      }),
    );
    return lists.flat();
  }

  async function annotations(): Promise<Fields> {
    const { items } = await call("GET", podsPath);
    return ofPods((items as readonly Raw[]).map(({ metadata }) => metadata));
  }

  const listOf = (nodename: string): Conflist =>
    withNodename(loadConflist(join(root, "test/fixtures/10-calico.conflist")), nodename);

  const sandboxOf = (pod: string) => ({
    ...{ containerId: `sandbox-${pod}`, netns: `/run/netns/${pod}`, ifname: "eth0" },
    args: [
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", pod],
    ] as const,
  });

  test.each(steps)("$name", async (step) => {
    const list = listOf(step.node);
    const sandbox = sandboxOf(step.pod);
    if (step.command === "add") {
      await addPod(step);
      runner.add(list, sandbox);
    } else {
      runner.del(list, sandbox);
    }
    const blocks = await blocksOf();
    const asRecorded = <Value>(value: Value) =>
      parseJson(renumbered(stringifyJson(value), blocks, recordedBlocks)) as Value;
    expect(comparable(asRecorded(await stored()))).toEqual(comparable(recorded(step.name)));
    const pods = JSON.parse(readFileSync(join(recordings, `${step.name}.pods.json`), "utf8")) as Raw["metadata"][];
    expect(asRecorded(await annotations())).toEqual(ofPods(pods));
  });

  test("CHECK accepts a pod without IPAM, and its DEL releases nothing", async () => {
    const pod = "pn-check";
    // Calico's conflist has a version without CHECK.
    const list = { ...listOf("rig-node"), cniVersion: "1.0.0" };
    const before = comparable(await stored());
    const annotated = { ipAddrsNoIpam: '["80.90.100.201"]' };
    await addPod({ name: pod, command: "add", pod, node: "rig-node", annotations: annotated });
    expect(runner.add(list, sandboxOf(pod)).ips).toMatchObject([{ address: "80.90.100.201/32" }]);
    runner.check(list, sandboxOf(pod));
    runner.del(list, sandboxOf(pod));
    expect(comparable(await stored())).toEqual(before);
    expect((await annotations())[pod]).toMatchObject({ [`${prefix}podIP`]: "", [`${prefix}podIPs`]: "" });
  });
});

const features = { ip_addrs_no_ipam: true, floating_ips: true };

function withNodename(list: Conflist, nodename: string): Conflist {
  return {
    ...list,
    plugins: list.plugins.map((plugin) =>
      plugin.type === "calico" ? { ...plugin, nodename, feature_control: features } : plugin,
    ),
  };
}

function recorded(step: string): readonly Raw[] {
  return parseJson(readFileSync(join(recordings, `${step}.objects.json`), "utf8")) as readonly Raw[];
}

/** By kind and name, without values that differ between runs. */
function comparable(objects: readonly Raw[]): Fields {
  const own = objects.filter(({ kind }) => (Object.values(kinds) as readonly string[]).includes(kind));
  return Object.fromEntries(
    own.map(({ kind, metadata: { name, labels, annotations }, spec }) => [
      `${kind} ${name}`,
      { labels, annotations, spec: kind === "IPAMBlock" ? comparableBlock(spec) : spec },
    ]),
  );
}

/** The plugin's annotations, and those that record what Felix does. */
function ofPods(pods: readonly Raw["metadata"][]): Fields {
  const names = ["containerID", "podIP", "podIPs", "ipAddrsNoIpam", "floatingIPs"].map((name) => prefix + name);
  return Object.fromEntries(
    pods.map(({ name, annotations = {} }) => [name, Object.fromEntries(names.map((key) => [key, annotations[key]]))]),
  );
}
