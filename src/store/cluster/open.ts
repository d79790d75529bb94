/** Which datastore of a cluster the settings ask for. */
import type { AsyncDatastore, AsyncDatastoreOptions } from "../async-datastore.ts";
import { openEtcd } from "../etcd/open.ts";
import { type ClusterSettings, InvalidSetting } from "./settings.ts";

/** Connects with the first request. Rejects with `InvalidSetting` where a file that the settings name cannot be used. */
export function openClusterDatastore(
  settings: ClusterSettings,
  options: AsyncDatastoreOptions = {},
): Promise<AsyncDatastore> {
  if (settings.type === "etcdv3") return openEtcd(settings, options);
  return Promise.reject(new InvalidSetting("DATASTORE_TYPE", settings.type, "etcdv3"));
}
