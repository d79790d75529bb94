/** Every object of a datastore, as a list that `tortie datastore migrate import` reads. */
import type { Kind, ShownKind } from "../../store/object.ts";
import { shownKinds } from "../../store/shown-kinds.ts";
import { StoreError } from "../../store/store-error.ts";
import { list, type Transaction } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { formatDocument, withoutText } from "../resources/document-text.ts";
import { listEndpointResources } from "../resources/endpoint.ts";
import type { Resource } from "../resources/resource.ts";
import { readStore, type StoreType, storeType, writeStore } from "../store.ts";
import { listed } from "../ui/listed.ts";
import { readReady } from "./lock.ts";

/** In the order in which they are written: what a node may use comes before what it has. */
export const migratedKinds: readonly Kind[] = [
  "ClusterInformation",
  "FelixConfiguration",
  "BGPConfiguration",
  "BGPPeer",
  "BGPFilter",
  "IPPool",
  "IPReservation",
  "IPAMConfig",
  "Node",
  "Profile",
  "WorkloadEndpoint",
  "IPAMBlock",
  "BlockAffinity",
  "IPAMHandle",
];

/** Kinds that a datastore derives from objects which are not its own. */
export function isDerived(type: StoreType, kind: Kind): boolean {
  return type === "kubernetes" && (kind === "Profile" || kind === "WorkloadEndpoint");
}

export async function exportObjects(cli: Cli): Promise<ExitStatus> {
  const items = await writeStore(cli, readAll(cli));
  const others = cli.cluster === undefined ? [] : await readStore(cli, countOthers());
  if (others.length > 0)
    cli.note(`tortie: left out ${listed(others)}, which Tortie does not write: move them with calicoctl`);
  cli.out(formatDocument({ apiVersion: "projectcalico.org/v3", kind: "List", items }, "yaml"));
  return exitStatus.done;
}

function* readAll(cli: Cli): Transaction<readonly unknown[]> {
  const type = storeType(cli);
  if (type !== "file" && (yield* readReady()) !== false) {
    throw new CliError(
      'cannot export: the datastore is not locked, and its nodes would go on assigning; run "tortie datastore migrate lock" first',
    );
  }
  const items: unknown[] = [];
  for (const kind of migratedKinds) {
    if (isDerived(type, kind)) continue;
    const isRecord = type === "file" && kind === "WorkloadEndpoint";
    const objects: readonly object[] = isRecord ? listEndpointResources(cli) : yield* list(kind);
    items.push(...objects.map((object) => withoutRevision(withoutText(object) as Resource)));
  }
  return items;
}

/** What is there for Calico's other programs: `2 NetworkPolicy`. */
function* countOthers(): Transaction<readonly string[]> {
  const found: string[] = [];
  for (const kind of Object.keys(shownKinds) as ShownKind[]) {
    try {
      const { length } = yield* list(kind);
      if (length > 0) found.push(`${length} ${kind}`);
    } catch (error) {
      // A cluster of Kubernetes may have no such resource.
      if (!(error instanceof StoreError) || error.kind === "timeout") throw error;
    }
  }
  return found;
}

/** Revisions and identities belong to the datastore. */
function withoutRevision({ metadata, ...object }: Resource): unknown {
  const { resourceVersion: _revision, uid: _uid, generation: _generation, ...kept } = metadata;
  return { ...object, metadata: kept };
}
