/** Taking endpoints away: by name and owner alone, whatever of ADD's circumstances is left. */

import { removeRules } from "../../src/dataplane/kinds/rule.ts";
import { findVethEnds } from "../../src/dataplane/links/peer.ts";
import { removeNftTable } from "../../src/dataplane/nftables/remove.ts";
import { withPlaces } from "../../src/dataplane/places.ts";
import { listOwnedLinks, removeLink } from "../../src/dataplane/remove.ts";
import {
  anyEndpoint,
  type Endpoint,
  listEndpoints,
  readEndpoint,
  removeEndpoint,
} from "../../src/endpoint/endpoint.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type Attachment, ownerOf, ownerPrefixOf } from "../../src/identity/attachment.ts";
import { findSandbox, sandboxAtDel } from "../../src/plugin/sandbox.ts";
import { runEvery } from "../../src/plugin/steps.ts";
import { removeIdleBlocks } from "./blocks.ts";
import { hostMac, natTable, sourceRulePriority } from "./names.ts";
import { removeIdlePoolRules } from "./pool-rules.ts";
import { tableOf } from "./routes.ts";

/** What `calico` makes host interfaces as. */
const born = { kind: "veth", mac: hostMac } as const;
/** No interface has this alias. */
const nobody = "";

/** An attachment whose interface is gone, and its record not yet. */
export interface Leaving {
  readonly attachment: Attachment;
  readonly record: Endpoint | undefined;
  /** The names that were looked for. */
  readonly hostInterfaces: readonly string[];
  /** Whether what attachments share went, as nobody else had a use for them. */
  readonly wasLast: boolean;
}

/**
 * Removes one attachment's host interface, and with it its peer in the sandbox, its routes and its queues. `netns`: the sandbox's path, where the
 * caller knows one; else the record's. Throws where the interface cannot be removed: the record stays, by which it is found again.
 */
export function removeInterfaces(sys: Sys, attachment: Attachment, netns?: string): Leaving {
  const owner = ownerOf(attachment);
  const record = readEndpoint(sys, attachment);
  // A record was never there when there was no ADD, or a hand has removed it: then all aliases are searched.
  const names = record === undefined ? ownedInterfaces(sys, owner).map(({ name }) => name) : [record.hostInterface];
  const path = netns ?? sandboxAtDel(sys, { netns: record?.netns ?? "", netnsOverride: false });
  let wasLast = false;
  runEvery([
    // Before the interface, by which the sandbox is known to be its own.
    () => removeSourceRules(sys, attachment.ifname, names, path),
    // Before the interface: the kernel's two waits, for either removal, then pass at the same time.
    () => {
      wasLast = removeIdle(sys, attachment);
    },
    ...names.map((name) => () => void removeLink({ sys }, { place: "host", name, owner, born })),
  ]);
  return { attachment, record, hostInterfaces: names, wasLast };
}

/**
 * What comes when the addresses are given back: the routes of blocks that serve nobody any more, and then the record, by which a DEL that is
 * killed before is begun again. `released`: the addresses, for an attachment without a record.
 */
export function forget(sys: Sys, { attachment, record, wasLast }: Leaving, released: readonly string[] = []): void {
  removeIdleBlocks(sys, record?.node, record?.addresses ?? released);
  removeEndpoint(sys, attachment);
  // Of two that end at the same time each has seen the other's record.
  if (!wasLast) removeIdle(sys);
}

/** Rules outlive the interface, where its sandbox goes on. It may have come to be another's: what has that name there is judged first. */
function removeSourceRules(
  sys: Sys,
  ifname: string,
  hostInterfaces: readonly string[],
  netns: string | undefined,
): void {
  const sandbox = netns === undefined ? undefined : findSandbox(sys, netns);
  if (sandbox === undefined) return;
  withPlaces({ sys, sandbox }, (places) => {
    const isOwn = () => {
      const ends = findVethEnds(places, ifname);
      return ends === undefined || hostInterfaces.includes(ends.host?.name ?? "");
    };
    removeRules(places, { table: tableOf(ifname), priority: sourceRulePriority }, isOwn);
  });
}

/** A record that this call wrote. One that was there before describes what was there before. */
export interface Recorded {
  readonly endpoint: Endpoint;
  readonly isNew: boolean;
}

/**
 * Takes back a record, when the kernel's objects and the addresses are taken back. It stays while there may be an interface that it alone tells
 * of: one that was made, but nobody heard of it, and which has no owner yet.
 */
export function takeBack(sys: Sys, { endpoint, isNew }: Recorded): void {
  const { attachment, node, addresses, hostInterface } = endpoint;
  runEvery([
    () => {
      if (isNew) removeLink({ sys }, { place: "host", name: hostInterface, owner: nobody, born });
      removeIdleBlocks(sys, node, addresses);
      if (isNew) removeEndpoint(sys, attachment);
    },
    () => void removeIdle(sys),
  ]);
}

/** Removes the interfaces of what belongs to `network` but to none of the owners in `valid`. Those that had records are told of. */
export function collectInterfaces(
  sys: Sys,
  network: string,
  valid: ReadonlySet<string>,
  onRemoved: (leaving: Leaving) => void,
): void {
  const records = listEndpoints(sys).filter(
    ({ attachment }) => attachment.network === network && !valid.has(ownerOf(attachment)),
  );
  const recorded = records.map(({ attachment }) => () => {
    onRemoved(removeInterfaces(sys, attachment));
  });
  const unrecorded = () =>
    runEvery(
      ownedInterfaces(sys, ownerPrefixOf(network))
        .filter(({ owner }) => !valid.has(owner))
        .map(
          ({ name, owner }) =>
            () =>
              void removeLink({ sys }, { place: "host", name, owner }),
        ),
    );
  runEvery([...recorded, unrecorded]);
}

/**
 * Removes the shared tables and rules when no endpoint is left but that of `leaving`, and returns whether there was none. Every ADD writes its
 * record before it adds to them, so none can lose them.
 */
export function removeIdle(sys: Sys, leaving?: Attachment): boolean {
  if (anyEndpoint(sys, leaving)) return false;
  const isUnused = () => !anyEndpoint(sys, leaving);
  runEvery([
    ...(["ip", "ip6"] as const).map((family) => () => void removeNftTable({ family, name: natTable }, isUnused, sys)),
    () => removeIdlePoolRules(sys, leaving),
  ]);
  return true;
}

/** Interfaces of ours, but not the ifb links that `bandwidth` owns. */
function ownedInterfaces(sys: Sys, ownerOrPrefix: string) {
  const exact = !ownerOrPrefix.endsWith("/");
  return listOwnedLinks({ sys }, ownerOrPrefix).filter(
    ({ kind, owner }) => kind === "veth" && (!exact || owner === ownerOrPrefix),
  );
}
