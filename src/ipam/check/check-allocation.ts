/** Checks who owns an allocated address, and whether its sandbox still exists. */
import { ownerOf } from "../../identity/attachment.ts";
import { type AllocationAttribute, attributeAt, type Block, isCooldown } from "../model/block.ts";
import { handleIdOf, ownerOfHandle } from "../model/handle.ts";
import { blockAddress } from "../model/ordinal.ts";
import { isPlaceholder } from "../model/placeholder.ts";
import { sequenceNumberOf } from "../model/sequence-numbers.ts";
import type { Allocation, ClusterFacts, Snapshot } from "./report.ts";

/** An ADD writes the address first and the endpoint right after, so a younger address may lack its endpoint. */
const minAgeNs = 60_000_000_000n;

/** Checks every allocated address of a sound block. */
export function allocationsOf(blocks: readonly Block[], snapshot: Snapshot): readonly Allocation[] {
  const evidence = gather(snapshot);
  return blocks.flatMap((block) =>
    block.spec.allocations.flatMap((index, ordinal) => {
      const attribute = index === null ? undefined : attributeAt(block.spec, ordinal);
      // An address in its cooldown has no owner.
      if (attribute === undefined || isCooldown(attribute)) return [];
      return [allocationOf(block, ordinal, attribute, evidence)];
    }),
  );
}

/** The snapshot, indexed for lookups. */
interface Evidence {
  readonly snapshot: Snapshot;
  /** Where each address was seen. */
  readonly seen: ReadonlyMap<string, string>;
  /** By handle. */
  readonly endpoints: ReadonlyMap<string, Snapshot["endpoints"][number]>;
  /** Host interfaces by owner. */
  readonly links: ReadonlyMap<string, string>;
}

function gather(snapshot: Snapshot): Evidence {
  return {
    snapshot,
    seen: new Map(snapshot.seen.map(({ address, where }) => [address, where])),
    endpoints: new Map(snapshot.endpoints.map((endpoint) => [handleIdOf(endpoint.attachment), endpoint])),
    links: new Map(snapshot.links.map(({ owner, name }) => [owner, name])),
  };
}

function allocationOf(
  { spec }: Block,
  ordinal: number,
  attribute: AllocationAttribute,
  evidence: Evidence,
): Allocation {
  const address = blockAddress(spec, ordinal);
  const { node = "" } = attribute.secondary ?? {};
  return {
    address,
    block: spec.cidr,
    handle: attribute.handle_id ?? "",
    sequenceNumber: sequenceNumberOf(spec, ordinal).toString(),
    node,
    owner: ownerText(attribute),
    ...check(address, attribute, evidence),
  };
}

function ownerText({ handle_id, secondary }: AllocationAttribute): string {
  const { namespace, pod, interface: ifname, type, node } = secondary ?? {};
  if (pod !== undefined)
    return [`${namespace ?? "default"}/${pod}`, ...(ifname === undefined ? [] : [ifname])].join(" ");
  if (type !== undefined) return `${type} of ${node ?? "an unknown node"}`;
  const owner = ownerOfHandle(handle_id ?? "");
  return owner === undefined ? `handle ${handle_id ?? ""}` : `container ${owner.containerId} ${owner.ifname}`;
}

type AllocationState = Pick<Allocation, "state" | "reason" | "isUnseen">;

function unseen(reason: string): AllocationState {
  return { state: "unchecked", reason, isUnseen: true };
}

/** From the strongest evidence to the weakest. */
function check(address: string, attribute: AllocationAttribute, evidence: Evidence): AllocationState {
  const { snapshot, seen } = evidence;
  const where = seen.get(address);
  if (where !== undefined) return { state: "in use", reason: `seen on ${where}` };
  if (snapshot.cluster !== undefined) return checkInCluster(attribute, snapshot.cluster, snapshot);
  const { node, type } = attribute.secondary ?? {};
  const handle = attribute.handle_id ?? "";
  if (isPlaceholder(handle) && snapshot.hasUnseen)
    return unseen("its block was rebuilt, and not every sandbox is visible from here");
  if (isPlaceholder(handle)) return { state: "leaked", reason: "its owner is unknown since its block was rebuilt" };
  if (node !== undefined && node !== snapshot.node) return { state: "unchecked", reason: `assigned on node ${node}` };
  const owner = ownerOfHandle(handle);
  if (type !== undefined || owner === undefined) {
    return { state: "unchecked", reason: "this use leaves no trace on the node" };
  }
  return checkAttachment(address, attribute, handle, owner, evidence);
}

/** The uses that belong to a node, by Calico's names of them. */
const tunnelType = /Tunnel(Address|Addr)/i;
/** The interface of which Kubernetes' pod is the endpoint. */
const podInterface = "eth0";

/** An address that no endpoint and no node has. As in Calico: a tunnel's address is in use as long as its node exists. */
function checkInCluster(
  { secondary = {} }: AllocationAttribute,
  { pods, nodes, hasEveryEndpoint }: ClusterFacts,
  snapshot: Snapshot,
): AllocationState {
  const { node = "", type, namespace = "default", pod, interface: ifname = podInterface, timestamp } = secondary ?? {};
  if (type !== undefined && !tunnelType.test(type)) return { state: "unchecked", reason: `it is a ${type}` };
  if (type !== undefined) {
    return nodes.has(node)
      ? { state: "in use", reason: `node ${node} is there` }
      : { state: "leaked", reason: `there is no node ${node}` };
  }
  if (pod === undefined && !hasEveryEndpoint)
    return { state: "unchecked", reason: "a container without a pod has no endpoint in Kubernetes" };
  const isThere = pod !== undefined && pods.has(`${namespace}/${pod}`);
  if (isThere && ifname !== podInterface && !hasEveryEndpoint)
    return { state: "in use", reason: `pod ${namespace}/${pod} is there` };
  if (isYoung(timestamp, snapshot)) return young(snapshot);
  if (pod === undefined) return { state: "leaked", reason: "no workload endpoint has it" };
  return { state: "leaked", reason: isThere ? "the pod does not have it" : "there is no such pod" };
}

function isYoung(timestamp: string | undefined, { takenAt, graceNs = minAgeNs }: Snapshot): boolean {
  const since = timestamp === undefined ? undefined : parseGoTime(timestamp);
  return since !== undefined && takenAt - since < graceNs;
}

function young({ graceNs = minAgeNs }: Snapshot): AllocationState {
  const age = graceNs === minAgeNs ? "a minute" : `${graceNs / 1_000_000_000n} s`;
  return { state: "unchecked", reason: `assigned less than ${age} ago: its ADD may not have ended` };
}

function checkAttachment(
  address: string,
  { secondary }: AllocationAttribute,
  handle: string,
  owner: NonNullable<ReturnType<typeof ownerOfHandle>>,
  { snapshot, endpoints, links }: Evidence,
): AllocationState {
  const link = links.get(ownerOf(owner));
  if (link !== undefined) return { state: "in use", reason: `its host interface ${link} is there` };
  const endpoint = endpoints.get(handle);
  if (endpoint?.sandbox === "there") {
    return { state: "in use", reason: `its sandbox "${endpoint.netns}" is there` };
  }
  if (endpoint?.sandbox === "unseen") {
    return unseen(`its sandbox "${endpoint.netns}" is not visible from here`);
  }
  if (endpoint !== undefined) {
    const isRecorded = endpoint.hostInterface === "" || endpoint.addresses.includes(address);
    const recorded = isRecorded ? "" : " (whose endpoint records other addresses)";
    return { state: "leaked", reason: `its sandbox "${endpoint.netns}" is gone${recorded}` };
  }
  if (isYoung(secondary?.timestamp, snapshot)) return young(snapshot);
  if (snapshot.hasUnseen) {
    return unseen("it has no endpoint, and not every sandbox is visible from here");
  }
  return { state: "leaked", reason: "it has no endpoint and no host interface" };
}

/** Nanoseconds since the epoch of Go's `2022-07-26 17:35:23.756365378 +0000 UTC`; `undefined` for other zones and texts. */
function parseGoTime(text: string): bigint | undefined {
  const [, day, time, fraction = ""] =
    /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? \+0000 UTC/.exec(text) ?? [];
  const ms = Date.parse(`${day}T${time}Z`);
  return Number.isNaN(ms) ? undefined : BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}
