/** Opens Kubernetes as a datastore. */
import type { AsyncDatastore, AsyncDatastoreOptions } from "../async-datastore.ts";
import { clusterDatastore, defaultTimeoutMs } from "../cluster/datastore.ts";
import type { KubernetesLocation } from "../cluster/settings.ts";
import { kubernetesApi } from "./api.ts";
import { kubernetesBackend } from "./backend.ts";
import { readConfig } from "./config.ts";
import { KubeTransport } from "./transport.ts";

/** Connects with the first request. Rejects with `InvalidSetting` if no kubeconfig file or service account can be read. */
export async function openKubernetes(
  location: KubernetesLocation,
  options: AsyncDatastoreOptions = {},
  pageSize?: number,
): Promise<AsyncDatastore> {
  readConfig(location);
  const api = kubernetesApi(new KubeTransport(() => readConfig(location)));
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  return clusterDatastore(kubernetesBackend(api, location.apiGroup, timeoutMs, pageSize), options);
}
