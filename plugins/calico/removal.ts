/** Taking endpoints away: by name and owner alone, whatever of ADD's circumstances is left. */
import { type Attachment, ownerOf, ownerPrefixOf } from "../../src/cni/attachment.ts";
import { removeNftTable } from "../../src/dataplane/nft-remove.ts";
import { findVethEnds } from "../../src/dataplane/peer.ts";
import { withPlaces } from "../../src/dataplane/places.ts";
import { listOwnedLinks, removeLink } from "../../src/dataplane/remove.ts";
import { removeRules } from "../../src/dataplane/rule.ts";
import { anyEndpoint, listEndpoints, readEndpoint, removeEndpoint } from "../../src/endpoint/endpoint.ts";
import type { Sys } from "../../src/host/sys.ts";
import { hostMac, natTable, sourceRulePriority } from "../../src/plan/names.ts";
import { findSandbox, sandboxAtDel } from "../../src/plugin/sandbox.ts";
import { runEvery } from "../../src/plugin/steps.ts";
import { tableOf } from "./routes.ts";

/** What `calico` makes host interfaces as. */
const born = { kind: "veth", mac: hostMac } as const;
/** No interface has this alias. */
const nobody = "";

/**
 * Removes one attachment's host interface, and with it its peer in the sandbox, its routes and its queues; then its record. Where the
 * interface cannot be removed, the record stays, by which it is found again. `netns`: the sandbox's path, where the caller knows one; else
 * the record's. Returns the names of the interfaces that it looked for.
 */
export function removeAttachment(sys: Sys, attachment: Attachment, netns?: string): readonly string[] {
  const owner = ownerOf(attachment);
  const record = readEndpoint(sys, attachment);
  // A record was never there when there was no ADD, or a hand has removed it: then all aliases are searched.
  const names = record === undefined ? ownedInterfaces(sys, owner).map(({ name }) => name) : [record.hostInterface];
  const path = netns ?? sandboxAtDel(sys, { netns: record?.netns ?? "", netnsOverride: false });
  let idle = false;
  runEvery([
    // Before the interface, by which the sandbox is known to be its own.
    () => removeSourceRules(sys, attachment.ifname, names, path),
    // Before the interface: the kernel's two waits, for either removal, then pass at the same time.
    () => {
      idle = removeIdleNat(sys, attachment);
    },
    ...names.map((name) => () => void removeLink({ sys }, { place: "host", name, owner, born })),
  ]);
  removeEndpoint(sys, attachment);
  // Of two that end at the same time each has seen the other's record.
  if (!idle) removeIdleNat(sys);
  return names;
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

/**
 * Takes back a record that this call wrote. It stays while there may be an interface that it alone tells of: one that was made, but nobody
 * heard of it, and which has no owner yet.
 */
export function forgetAttachment(sys: Sys, attachment: Attachment, hostInterface: string): void {
  removeLink({ sys }, { place: "host", name: hostInterface, owner: nobody, born });
  removeEndpoint(sys, attachment);
}

/** Removes what belongs to `network` but to none of the owners in `valid`. */
export function collectAttachments(sys: Sys, network: string, valid: ReadonlySet<string>): void {
  const records = listEndpoints(sys).filter(
    ({ attachment }) => attachment.network === network && !valid.has(ownerOf(attachment)),
  );
  const recorded = records.map(
    ({ attachment }) =>
      () =>
        void removeAttachment(sys, attachment),
  );
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
  runEvery([...recorded, unrecorded, () => removeIdleNat(sys)]);
}

/**
 * Removes the shared tables when no endpoint is left but that of `leaving`, and returns whether there was none. Every ADD writes its record
 * before it adds to them, so none can lose them.
 */
export function removeIdleNat(sys: Sys, leaving?: Attachment): boolean {
  if (anyEndpoint(sys, leaving)) return false;
  const isUnused = () => !anyEndpoint(sys, leaving);
  runEvery(
    (["ip", "ip6"] as const).map((family) => () => void removeNftTable({ family, name: natTable }, isUnused, sys)),
  );
  return true;
}

/** Interfaces of ours, but not the ifb links that `bandwidth` owns. */
function ownedInterfaces(sys: Sys, ownerOrPrefix: string) {
  const exact = !ownerOrPrefix.endsWith("/");
  return listOwnedLinks({ sys }, ownerOrPrefix).filter(
    ({ kind, owner }) => kind === "veth" && (!exact || owner === ownerOrPrefix),
  );
}
