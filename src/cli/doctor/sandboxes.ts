/**
 * All attachments that have left any trace on the node, each with all its traces.
 *
 *     record   /run/tortie/endpoints/<network>:<containerID>:<ifname>.json ┐
 *     host interface, by its alias                                          │
 *     addresses, by their handle                                            ├─► one `Trace` per attachment
 *     port mappings, by comment, in nf_tables and in iptables               │
 *     ifb of its limits, by alias                                           ┘
 */

import { decodeEndpoint, type Endpoint, endpointDirectory, type WorkloadEndpoint } from "../../endpoint/endpoint.ts";
import type { Part } from "../../endpoint/part.ts";
import { isErrno } from "../../host/sys.ts";
import { type Attachment, attachmentKey, attachmentOf, ownerOf } from "../../identity/attachment.ts";
import { hostInterfacePrefix } from "../../identity/names.ts";
import type { Allocation, Report, Sandbox, Snapshot } from "../../ipam/check/report.ts";
import { attributeAt, isBlock } from "../../ipam/model/block.ts";
import { handleIdOf, ownerOfHandle } from "../../ipam/model/handle.ts";
import { nftOwnerComment } from "../../plan/nft-owner.ts";
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import { type Facts, peerOf, type SeenNamespace } from "../node/facts.ts";
import type { IpLink } from "../node/iproute.ts";
import type { FirewallFacts, IptablesEntry } from "./firewall.ts";
import { hostInterfaceLink } from "./host-interface-link.ts";
import type { CachedAttachment } from "./libcni-cache.ts";
import type { Ifb, LimitFacts } from "./limits.ts";
import type { PartFile } from "./parts.ts";

/** A file among the endpoints' records. */
export interface RecordFile {
  readonly path: string;
  readonly ageSeconds: number;
  /** `undefined` if it is not readable as a record. */
  readonly endpoint: Endpoint | undefined;
  readonly fault: string | undefined;
}

export function gatherRecords({ sys }: Cli): readonly RecordFile[] {
  const now = sys.wallClock().seconds * 1000;
  return recordFiles(sys).flatMap((path): readonly RecordFile[] => {
    const stat = sys.stat(path);
    if (stat === undefined) return [];
    const ageSeconds = Math.max(0, Math.round((now - stat.modifiedMs) / 1000));
    try {
      const endpoint = decodeEndpoint(JSON.parse(sys.readFile(path)) as WorkloadEndpoint);
      return [
        {
          path,
          ageSeconds,
          endpoint,
          fault: endpoint === undefined ? "it is not the name of a network of Tortie" : undefined,
        },
      ];
    } catch (error) {
      if (isErrno(error, "ENOENT")) return [];
      return [{ path, ageSeconds, endpoint: undefined, fault: messageOf(error) }];
    }
  });
}

function recordFiles(sys: Cli["sys"]): readonly string[] {
  try {
    const names = sys.listDir(endpointDirectory).filter((name) => name.endsWith(".json") && !name.startsWith("."));
    return names.sort().map((name) => `${endpointDirectory}/${name}`);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

export interface Trace {
  readonly attachment: Attachment;
  readonly owner: string;
  readonly pod: Endpoint["pod"];
  readonly record: RecordFile | undefined;
  /** The host interface: the link with the owner's alias, or the link without an alias that the record names. */
  readonly link: IpLink | undefined;
  /** The alias of the interface that the record names, if it belongs to another owner. */
  readonly conflictingOwner: string | undefined;
  /** The location of the host interface's peer. */
  readonly peer: { readonly namespace: SeenNamespace; readonly ifname: string } | undefined;
  /** Whether the path in the record leads to a namespace; `undefined` without a readable record. */
  readonly sandbox: Sandbox | undefined;
  /** The sandbox's path from here. */
  readonly path: string | undefined;
  /** The sandbox's content. */
  readonly inside: SeenNamespace | undefined;
  /** The host's end of the attachment's interface, whichever plugin created it. */
  readonly hostLink: IpLink | undefined;
  /** The recorded requests of our plugins. */
  readonly parts: readonly Part[];
  /** How long it has been recorded; infinite without any record. A repeated ADD or a repair does not make it younger. */
  readonly ageSeconds: number;
  readonly cached: CachedAttachment | undefined;
  readonly allocations: readonly Allocation[];
  readonly ports: readonly Port[];
  readonly chains: readonly IptablesEntry[];
  readonly ifb: Ifb | undefined;
}

export interface Port {
  /** `8080/tcp`, `192.0.2.1:8080/tcp`. */
  readonly text: string;
  readonly target: string | undefined;
}

export interface TraceSources {
  readonly facts: Facts;
  readonly records: readonly RecordFile[];
  readonly parts: readonly PartFile[];
  /** The runtimes' caches, by owner. */
  readonly cached: ReadonlyMap<string, CachedAttachment>;
  readonly snapshot: Snapshot;
  readonly report: Report;
  readonly firewall: FirewallFacts;
  readonly limits: LimitFacts;
}

/** By owner. */
export function tracesOf(sources: TraceSources): readonly Trace[] {
  const { report, snapshot } = sources;
  const known: Known = { allocations: groupedByHandle(report), pods: podsOf(snapshot) };
  const attachments = [...attachmentsIn(sources)].sort(([one], [other]) => (one < other ? -1 : 1));
  return attachments.map(([, attachment]) => traceOf(attachment, sources, known));
}

/** Indexes by handle, because there may be thousands of addresses. */
interface Known {
  readonly allocations: ReadonlyMap<string, readonly Allocation[]>;
  readonly pods: ReadonlyMap<string, NonNullable<Trace["pod"]>>;
}

function groupedByHandle({ allocations }: Report): Known["allocations"] {
  const groups = new Map<string, Allocation[]>();
  for (const allocation of allocations) {
    const group = groups.get(allocation.handle);
    if (group === undefined) groups.set(allocation.handle, [allocation]);
    else group.push(allocation);
  }
  return groups;
}

/** The pods of the allocations. */
function podsOf({ blocks }: Snapshot): Known["pods"] {
  const pods = new Map<string, NonNullable<Trace["pod"]>>();
  for (const { spec } of blocks.filter(isBlock)) {
    for (const ordinal of spec.allocations.keys()) {
      const { handle_id, secondary } = attributeAt(spec, ordinal) ?? {};
      const { namespace, pod } = secondary ?? {};
      if (handle_id && namespace !== undefined && pod !== undefined) pods.set(handle_id, { namespace, name: pod });
    }
  }
  return pods;
}

/** By owner. */
function attachmentsIn(sources: TraceSources): ReadonlyMap<string, Attachment> {
  const { facts, records, parts, report, snapshot, firewall, limits } = sources;
  const found = new Map<string, Attachment>();
  const add = (attachment: Attachment | undefined) => {
    if (attachment !== undefined) found.set(ownerOf(attachment), attachment);
  };
  for (const { endpoint, path } of records) add(endpoint?.attachment ?? attachmentOfRecord(path));
  for (const { attachment } of parts) add(attachment);
  for (const { owner } of facts.links) add(attachmentOf(owner));
  // An address assigned on another node has its traces there.
  for (const { handle, node } of report.allocations) {
    if (node === snapshot.node || node === "") add(ownerOfHandle(handle));
  }
  for (const { owners, elements } of firewall.nftTables) {
    for (const owner of [...owners, ...elements.flatMap(({ comment }) => comment ?? [])]) add(attachmentOf(owner));
  }
  for (const { entries } of firewall.iptables) for (const entry of entries) add(entry);
  for (const { owner = "" } of limits.ifbs) add(attachmentOf(owner));
  return found;
}

function attachmentOfRecord(path: string): Attachment | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1, -".json".length);
  const [network, containerId, ifname, ...rest] = name.split(":");
  return network && containerId && ifname && rest.length === 0 ? { network, containerId, ifname } : undefined;
}

function traceOf(attachment: Attachment, sources: TraceSources, { allocations, pods }: Known): Trace {
  const { facts, records, firewall, limits } = sources;
  const owner = ownerOf(attachment);
  const handle = handleIdOf(attachment);
  const file = `/${attachmentKey(attachment)}.json`;
  const record = records.find(({ path }) => path.endsWith(file));
  const named = facts.hostLinks.find(({ ifname }) => ifname === record?.endpoint?.hostInterface);
  // Only this main plugin of ours keeps a record.
  const owned = facts.hostLinks.find(
    ({ ifname, ifalias, link_index }) =>
      ifalias === owner && Boolean(link_index) && ifname.startsWith(hostInterfacePrefix),
  );
  const link = owned ?? (named !== undefined && named.ifalias === undefined ? named : undefined);
  const comment = nftOwnerComment(owner);
  const seen = facts.endpoints.find((one) => ownerOf(one.attachment) === owner);
  const own = sources.parts.filter((one) => one.attachment !== undefined && ownerOf(one.attachment) === owner);
  const ages = [record, ...own].flatMap((one) => one?.ageSeconds ?? []);
  const inside = facts.namespaces.find(({ inode }) => seen?.sandbox === "there" && inode === seen.inode);
  return {
    attachment,
    owner,
    pod: record?.endpoint?.pod ?? pods.get(handle) ?? seen?.pod,
    record,
    link,
    conflictingOwner: named === undefined || named.ifalias === owner ? undefined : named.ifalias,
    peer: link === undefined ? undefined : peerOf(link, facts.namespaces),
    sandbox: seen?.sandbox,
    path: seen?.path,
    inside,
    hostLink: hostInterfaceLink(attachment, inside, facts.hostLinks),
    parts: own.flatMap(({ part }) => part ?? []),
    ageSeconds: ages.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...ages),
    cached: sources.cached.get(owner),
    allocations: allocations.get(handle) ?? [],
    ports: firewall.nftTables.flatMap(({ elements }) =>
      elements
        .filter((one) => one.comment === comment && /^(hostip_)?ports$/.test(one.set))
        .map(({ key, target }) => ({ text: portText(key), target })),
    ),
    chains: firewall.iptables.flatMap(({ entries }) => entries.filter((one) => ownerOf(one) === owner)),
    ifb: limits.ifbs.find((one) => one.owner === owner),
  };
}

/** `tcp . 8080` and `192.0.2.1 . tcp . 8080`. */
function portText(key: string): string {
  const [port, protocol, address] = key.split(" . ").reverse();
  if (address === undefined) return `${port}/${protocol}`;
  return `${address.includes(":") ? `[${address}]` : address}:${port}/${protocol}`;
}
