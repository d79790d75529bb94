/**
 * DEL and GC of a main plugin that records the endpoint of each attachment, and declares what it owns. Configuration, previous result and sandbox may
 * be gone: the record, or else the alias, names the host interface.
 *
 *     remove, collect        rules in the sandbox ──► what all endpoints share, with the last ──► the host interface, and all that hangs on it
 *     the plugin's own       the IPAM plugin releases the addresses ──► what the addresses needed
 *     removeEndpoint         the record, last: until then a repeated DEL finds everything again
 */
import { type Executor, type Removal, unowned, withExecutor } from "../dataplane/executor.ts";
import { anyEndpoint, type Endpoint, listEndpoints, readEndpoint } from "../endpoint/endpoint.ts";
import { runEvery } from "../errors/run-every.ts";
import type { Sys } from "../host/sys.ts";
import { type Attachment, ownerOf } from "../identity/attachment.ts";
import { hostInterfacePrefix } from "../identity/names.ts";
import { ownersExcept } from "./owned.ts";
import { inSandboxAt, sandboxAtDel } from "./sandbox.ts";

/** What an endpoint owns. */
export interface OwnedEndpoint {
  /** How the plugin creates host interfaces: one that a record names is found by it without an alias, which a killed ADD did not write. */
  readonly signature: NonNullable<Extract<Removal, { kind: "link" }>["signature"]>;
  /** What outlives the interface in its sandbox. `hostInterfaces`: their names, by which the sandbox is recognised as the attachment's. */
  inSandbox(attachment: Attachment, hostInterfaces: readonly string[]): readonly Removal[];
  /** What all endpoints share. `isUsed`: whether any is left. */
  shared(isUsed: () => boolean): readonly Removal[];
}

/** An attachment whose interface was removed, but not its record. */
export interface RemovedEndpoint {
  readonly attachment: Attachment;
  readonly record: Endpoint | undefined;
  /** The names of host interfaces that were removed or missing. */
  readonly hostInterfaces: readonly string[];
  /** Whether what all share was removed, because no other attachment uses it. */
  readonly wasLast: boolean;
}

/**
 * Removes one attachment's host interface, and with it its peer in the sandbox, its routes and its queues. `netns`: the sandbox's path; if absent, the
 * record's. Throws if the interface cannot be removed: then the record stays, so that a repeated DEL finds the interface.
 */
export function removeInterfaces(
  owned: OwnedEndpoint,
  sys: Sys,
  attachment: Attachment,
  netns: string | undefined,
): RemovedEndpoint {
  const owner = ownerOf(attachment);
  const record = readEndpoint(sys, attachment);
  const path = netns ?? sandboxAtDel(sys, { netns: record?.netns ?? "", netnsOverride: false });
  return withExecutor(sys, undefined, (executor) => {
    const names = record === undefined ? unrecorded(owned, executor, sys, attachment, path) : [record.hostInterface];
    let wasLast = false;
    runEvery([
      // Before the interface, which shows that the sandbox is the attachment's.
      () => inSandboxAt(sys, path, (inside) => inside.remove(owner, owned.inSandbox(attachment, names))),
      // Before the interface, because then the kernel's waits for the two removals overlap.
      () => {
        wasLast = removeShared(owned, executor, sys, attachment);
      },
      () => executor.remove(owner, names.map(interfaceNamed(owned))),
    ]);
    return { attachment, record, hostInterfaces: names, wasLast };
  });
}

/** Removes the interfaces of the network's attachments whose owner is not in `valid`. Calls `onGone` for those that had records. */
export function collectInterfaces(
  owned: OwnedEndpoint,
  sys: Sys,
  network: string,
  valid: ReadonlySet<string>,
  onGone: (record: Endpoint) => void,
): void {
  const { signature } = owned;
  const stale = listEndpoints(sys)
    .filter(({ attachment }) => attachment.network === network)
    .map((record) => ({ record, owner: ownerOf(record.attachment), name: record.hostInterface, signature }))
    .filter(({ owner }) => !valid.has(owner));
  const left = new Map<string, Endpoint>();
  const inSandboxes = stale.map(({ record, owner, name }) => () => {
    const netns = sandboxAtDel(sys, { netns: record.netns, netnsOverride: false });
    inSandboxAt(sys, netns, (executor) => executor.remove(owner, owned.inSandbox(record.attachment, [name])));
    left.set(owner, record);
  });
  const links = {
    kind: "link",
    of: signature.kind,
    recorded: stale,
    onGone({ owner }: { readonly owner: string }) {
      const record = left.get(owner);
      if (record !== undefined) onGone(record);
    },
  } as const;
  runEvery([
    ...inSandboxes,
    () => withExecutor(sys, undefined, (executor) => executor.remove(ownersExcept(network, valid), [links])),
  ]);
}

/** Removes an interface without an alias, whose ADD has failed. */
export function rollBackInterface(owned: OwnedEndpoint, sys: Sys, name: string): void {
  withExecutor(sys, undefined, (executor) => executor.remove(unowned, [interfaceNamed(owned)(name)]));
}

/** Removes what all endpoints share if none is left, and returns whether none is. */
export function removeIdle(owned: OwnedEndpoint, sys: Sys): boolean {
  return withExecutor(sys, undefined, (executor) => removeShared(owned, executor, sys));
}

/** The endpoint of `leaving` does not count. Every ADD writes its record before it adds to what is shared, so this removes nothing that an ADD needs. */
function removeShared(owned: OwnedEndpoint, executor: Executor, sys: Sys, leaving?: Attachment): boolean {
  const isUsed = () => anyEndpoint(sys, leaving);
  if (isUsed()) return false;
  executor.remove(unowned, owned.shared(isUsed));
  return true;
}

function interfaceNamed({ signature }: OwnedEndpoint) {
  return (name: string) => ({ kind: "link", at: "host", name, signature }) as const;
}

/** The host interfaces of an attachment without a record: there was no ADD, the record was deleted, or another suite's plugin made the interface. */
function unrecorded(
  owned: OwnedEndpoint,
  executor: Executor,
  sys: Sys,
  attachment: Attachment,
  netns: string | undefined,
): readonly string[] {
  const owner = ownerOf(attachment);
  const found = executor.list({ kind: owned.signature.kind, ownerPrefix: owner });
  const names = found.filter((link) => link.owner === owner).map(({ name }) => name);
  return names.length > 0 ? names : unownedInterface(owned, sys, attachment.ifname, netns);
}

/**
 * The host interface of a pod that Calico's own plugin made before the node changed to ours. It has no alias, so that its sandbox alone tells whose it is:
 * without the sandbox it stays, because it may be another pod's by now.
 */
function unownedInterface(
  { signature }: OwnedEndpoint,
  sys: Sys,
  ifname: string,
  netns: string | undefined,
): readonly string[] {
  const host = inSandboxAt(sys, netns, (_, facts) => facts.vethEnds(ifname)?.host);
  if (host === undefined || host.alias !== undefined || host.mac !== signature.mac) return [];
  return host.name.startsWith(hostInterfacePrefix) ? [host.name] : [];
}
