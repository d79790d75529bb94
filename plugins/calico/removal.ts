/** Removes endpoints by name and owner alone: configuration, previous result and sandbox may be gone. */

import { Executor, withExecutor } from "../../src/dataplane/executor.ts";
import {
  anyEndpoint,
  type Endpoint,
  listEndpoints,
  readEndpoint,
  removeEndpoint,
} from "../../src/endpoint/endpoint.ts";
import { runEvery } from "../../src/errors/run-every.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type Attachment, ownerOf, ownerPrefixOf } from "../../src/identity/attachment.ts";
import { tableFamilies } from "../../src/net/address.ts";
import { findSandbox, sandboxAtDel } from "../../src/plugin/sandbox.ts";
import { removeIdleBlocks } from "./blocks.ts";
import { hostMac, natTable, sourceRulePriority } from "./names.ts";
import { removeIdlePoolRules } from "./pool-rules.ts";
import { tableOf } from "./routes.ts";

/** How `calico` creates host interfaces. */
const signature = { kind: "veth", mac: hostMac } as const;
/** No interface has this alias. */
const noOwner = "";

/** An attachment whose interface was removed, but not its record. */
export interface RemovedInterfaces {
  readonly attachment: Attachment;
  readonly record: Endpoint | undefined;
  /** The names of host interfaces that were removed or missing. */
  readonly hostInterfaces: readonly string[];
  /** Whether the shared objects were removed because no other attachment uses them. */
  readonly wasLast: boolean;
}

/**
 * Removes one attachment's host interface, and with it its peer in the sandbox, its routes and its queues. `netns`: the sandbox's path; if absent, the
 * record's. Throws if the interface cannot be removed: then the record stays, so that a repeated DEL finds the interface.
 */
export function removeInterfaces(sys: Sys, attachment: Attachment, netns?: string): RemovedInterfaces {
  const owner = ownerOf(attachment);
  const record = readEndpoint(sys, attachment);
  // Without a record, because there was no ADD or it was deleted, all aliases are searched.
  const names = record === undefined ? ownedInterfaces(sys, owner) : [record.hostInterface];
  const path = netns ?? sandboxAtDel(sys, { netns: record?.netns ?? "", netnsOverride: false });
  let wasLast = false;
  runEvery([
    // Before the interface, which shows that the sandbox is the attachment's.
    () => removeSourceRules(sys, attachment.ifname, names, path),
    // Before the interface, because then the kernel's waits for the two removals overlap.
    () => {
      wasLast = removeIdle(sys, attachment);
    },
    () => withExecutor(sys, undefined, (executor) => executor.remove(owner, names.map(hostInterface))),
  ]);
  return { attachment, record, hostInterfaces: names, wasLast };
}

/**
 * Runs after the addresses were released: removes the routes of unused blocks, and last the record, so that a repeated DEL can resume.
 * `released`: the addresses, for an attachment without a record; `undefined` for a cluster, whose block routes are the node agent's.
 */
export function forget(
  sys: Sys,
  { attachment, record, wasLast }: RemovedInterfaces,
  released: readonly string[] | undefined,
): void {
  if (released !== undefined) removeIdleBlocks(sys, record?.node, record?.addresses ?? released);
  removeEndpoint(sys, attachment);
  // Two concurrent DELs may each have seen the other's record.
  if (!wasLast) removeIdle(sys);
}

/**
 * The same for the attachments of these records; reads each block once. `areBlocksOurs`: false for a cluster, whose block routes are the node agent's.
 * Keeps the shared objects: the caller removes them once for all.
 */
export function forgetAll(sys: Sys, records: readonly Endpoint[], areBlocksOurs: boolean): void {
  const nodes = new Set(records.map(({ node }) => node));
  const forgetNode = (node: string) => {
    const ofNode = records.filter((record) => record.node === node);
    const addresses = ofNode.flatMap((record) => record.addresses);
    if (areBlocksOurs) removeIdleBlocks(sys, node, addresses);
    runEvery(ofNode.map((record) => () => removeEndpoint(sys, record.attachment)));
  };
  runEvery([...nodes].map((node) => () => forgetNode(node)));
}

/** Rules outlive the interface if its sandbox stays. The sandbox may belong to another attachment by now, so its interface is checked first. */
function removeSourceRules(
  sys: Sys,
  ifname: string,
  hostInterfaces: readonly string[],
  netns: string | undefined,
): void {
  const sandbox = netns === undefined ? undefined : findSandbox(sys, netns);
  if (sandbox === undefined) return;
  const rules = { kind: "rule", table: tableOf(ifname), priority: sourceRulePriority } as const;
  try {
    withExecutor(sys, sandbox, (executor) =>
      executor.remove(noOwner, [{ ...rules, link: ifname, hostEnds: hostInterfaces }]),
    );
  } finally {
    // GC opens the sandboxes of all lost attachments, which may be more than a process may have open.
    sys.closeNetns(sandbox);
  }
}

/** The record that this call wrote; `isNew`: there was none before. A repeated ADD must not remove the objects of an earlier one. */
export interface Recorded {
  readonly endpoint: Endpoint;
  readonly isNew: boolean;
}

/**
 * Rolls back a record, after the kernel's objects and the addresses. The record stays if the interface has no alias yet and cannot be removed, because
 * only the record names it.
 */
export function rollBackEndpoint(sys: Sys, { endpoint, isNew }: Recorded): void {
  const { attachment, node, addresses, hostInterface: name } = endpoint;
  runEvery([
    () => {
      if (isNew) withExecutor(sys, undefined, (executor) => executor.remove(noOwner, [hostInterface(name)]));
      removeIdleBlocks(sys, node, addresses);
      if (isNew) removeEndpoint(sys, attachment);
    },
    () => void removeIdle(sys),
  ]);
}

interface StaleInterface {
  readonly name: string;
  readonly owner: string;
  readonly signature?: typeof signature;
  readonly record?: Endpoint;
}

/** Removes the interfaces of the network's attachments whose owner is not in `valid`. Calls `onRemoved` for those that had records. */
export function collectInterfaces(
  sys: Sys,
  network: string,
  valid: ReadonlySet<string>,
  onRemoved: (record: Endpoint) => void,
): void {
  const records = listEndpoints(sys).filter(
    ({ attachment }) => attachment.network === network && !valid.has(ownerOf(attachment)),
  );
  const withoutRules = new Set<Endpoint>();
  const rules = records.map((record) => () => {
    const { attachment, hostInterface, netns } = record;
    removeSourceRules(sys, attachment.ifname, [hostInterface], sandboxAtDel(sys, { netns, netnsOverride: false }));
    withoutRules.add(record);
  });
  const recorded = records.map((record) => {
    const { attachment, hostInterface: name } = record;
    return { name, owner: ownerOf(attachment), signature, record };
  });
  const links = () =>
    withExecutor(sys, undefined, (executor) => {
      const owners = new Set(recorded.map(({ owner }) => owner));
      const unrecorded = executor
        .list("veth", ownerPrefixOf(network))
        .filter(({ owner }) => !valid.has(owner) && !owners.has(owner));
      executor.removeLinks<StaleInterface>([...recorded, ...unrecorded], ({ record }) => {
        if (record !== undefined && withoutRules.has(record)) onRemoved(record);
      });
    });
  runEvery([...rules, links]);
}

/**
 * Removes the shared tables and rules if there is no endpoint except that of `leaving`, and returns whether there was none. Every ADD writes its record
 * before it adds to them, so this removes none that an ADD needs.
 */
export function removeIdle(sys: Sys, leaving?: Attachment): boolean {
  if (anyEndpoint(sys, leaving)) return false;
  const isUnused = () => !anyEndpoint(sys, leaving);
  const tables = tableFamilies.map((family) => ({ family, name: natTable }));
  runEvery([
    () => new Executor(sys).follow({ kind: "nft-table", tables, isUnused }),
    () => removeIdlePoolRules(sys, leaving),
  ]);
  return true;
}

/** A host interface, also one without an alias, whose ADD was killed. */
function hostInterface(name: string) {
  return { kind: "link", at: "host", name, signature } as const;
}

/** An attachment's host interfaces by their alias. */
function ownedInterfaces(sys: Sys, owner: string): readonly string[] {
  const found = withExecutor(sys, undefined, (executor) => executor.list("veth", owner));
  return found.filter((link) => link.owner === owner).map(({ name }) => name);
}
