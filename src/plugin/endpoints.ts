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
  /**
   * The prefix of host interfaces that another suite's plugin made with the same signature, and without an alias, before the node changed to ours: DEL
   * removes one of them by its sandbox, and what all endpoints share serves them too. Absent where that suite never was.
   */
  readonly adopts?: string;
}

/** An attachment whose interface was removed, but not its record. */
export interface RemovedEndpoint {
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
        wasLast = removeShared(owned, executor, sys, { attachment, names });
      },
      () => executor.remove(owner, names.map(interfaceNamed(owned))),
    ]);
    return { record, hostInterfaces: names, wasLast };
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

interface Leaving {
  readonly attachment: Attachment;
  /** Of its host interfaces. */
  readonly names: readonly string[];
}

/** The endpoint that leaves does not count. Every ADD writes its record before it adds to what is shared, so this removes nothing that an ADD needs. */
function removeShared(owned: OwnedEndpoint, executor: Executor, sys: Sys, leaving?: Leaving): boolean {
  const isUsed = () => anyEndpoint(sys, leaving?.attachment);
  if (isUsed() || servesAdopted(owned, executor, leaving?.names)) return false;
  executor.remove(unowned, owned.shared(isUsed));
  return true;
}

function servesAdopted(
  { adopts, signature }: OwnedEndpoint,
  executor: Executor,
  leaving: readonly string[] = [],
): boolean {
  if (adopts === undefined) return false;
  const found = executor.list({ kind: signature.kind, unowned: signature });
  return found.some(({ name }) => name.startsWith(adopts) && !leaving.includes(name));
}

function interfaceNamed({ signature }: OwnedEndpoint) {
  return (name: string) => ({ kind: "link", at: "host", name, signature }) as const;
}

/** The host interfaces of an attachment without a record: there was no ADD, the record was deleted, or it is adopted. */
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
  return names.length > 0 ? names : adoptedInterface(owned, sys, attachment.ifname, netns);
}

/** The sandbox alone tells whose an adopted interface is: without the sandbox it stays, because it may be another pod's by now. */
function adoptedInterface(
  { signature, adopts }: OwnedEndpoint,
  sys: Sys,
  ifname: string,
  netns: string | undefined,
): readonly string[] {
  if (adopts === undefined) return [];
  const host = inSandboxAt(sys, netns, (_, facts) => facts.vethEnds(ifname)?.host);
  if (host === undefined || host.alias !== undefined || host.mac !== signature.mac) return [];
  return host.name.startsWith(adopts) ? [host.name] : [];
}
