/** Which datastore of a cluster the settings ask for. */
import type { AsyncDatastore, AsyncDatastoreOptions } from "../async-datastore.ts";
import { openEtcd } from "../etcd/open.ts";
import { openKubernetes } from "../kubernetes/open.ts";
import type { ClusterSettings } from "./settings.ts";

/** Connects with the first request. Rejects with `InvalidSetting` where a file that the settings name cannot be used. */
export function openClusterDatastore(
  settings: ClusterSettings,
  options: AsyncDatastoreOptions = {},
): Promise<AsyncDatastore> {
  return settings.type === "etcdv3" ? openEtcd(settings, options) : openKubernetes(settings, options);
}
