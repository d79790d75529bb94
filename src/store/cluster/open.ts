/** Opens the cluster datastore that the settings select. */
import type { AsyncDatastore, AsyncDatastoreOptions } from "../async-datastore.ts";
import { openEtcd } from "../etcd/open.ts";
import { openKubernetes } from "../kubernetes/open.ts";
import type { ClusterSettings } from "./settings.ts";

/** Connects with the first request. Rejects with `InvalidSetting` if a file named in the settings is unusable. */
export function openClusterDatastore(
  settings: ClusterSettings,
  options: AsyncDatastoreOptions = {},
): Promise<AsyncDatastore> {
  return settings.type === "etcdv3" ? openEtcd(settings, options) : openKubernetes(settings, options);
}
