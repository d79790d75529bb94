/** How to reach the API server, and our credentials: kubeconfig files, the pod's service account, renewed tokens, credential programs. */
import { type Cluster, KubeConfig, type User } from "@kubernetes/client-node";
import { InvalidSetting, type KubernetesLocation } from "../cluster/settings.ts";

/** Throws `InvalidSetting`. Reads the files each time, because they may have been replaced. */
export function readConfig(location: KubernetesLocation): KubeConfig {
  const config = new KubeConfig();
  load(config, location);
  if (location.context !== undefined) selectContext(config, location.context);
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  if (cluster === null || user === null) {
    throw new InvalidSetting(
      "KUBECONFIG",
      location.kubeconfig ?? "",
      "a file whose current context has a cluster and a user",
    );
  }
  replaceCurrent(config, overridden(location, cluster, user));
  return config;
}

function load(config: KubeConfig, { kubeconfig, server }: KubernetesLocation): void {
  if (kubeconfig !== undefined) loadFiles(config, kubeconfig.split(":"));
  else if (server !== undefined) {
    config.loadFromClusterAndUser({ name: "cluster", server, skipTLSVerify: false }, { name: "user" });
  } else if (process.env.KUBERNETES_SERVICE_HOST !== undefined) config.loadFromCluster();
  else throw new InvalidSetting("KUBECONFIG", "", "the path of a kubeconfig file, for this is not a pod of a cluster");
}

/** Merges several files: the first occurrence of a name wins. */
function loadFiles(config: KubeConfig, paths: readonly string[]): void {
  for (const [index, path] of paths.entries()) {
    try {
      if (index === 0) config.loadFromFile(path);
      else {
        const next = new KubeConfig();
        next.loadFromFile(path);
        config.mergeConfig(next, true);
      }
    } catch (error) {
      throw new InvalidSetting("KUBECONFIG", path, `a kubeconfig file (${(error as Error).message})`);
    }
  }
}

function selectContext(config: KubeConfig, context: string): void {
  if (config.getContextObject(context) === null) {
    const names = config.contexts.map(({ name }) => name).join(", ");
    throw new InvalidSetting("K8S_CURRENT_CONTEXT", context, `a context of the kubeconfig file: ${names}`);
  }
  config.setCurrentContext(context);
}

/** Settings take precedence over the file. */
function overridden(location: KubernetesLocation, cluster: Cluster, user: User): [Cluster, User] {
  const { server = cluster.server, caFile, certFile, keyFile, token, skipsTlsVerify } = location;
  return [
    {
      ...cluster,
      server: server.replace(/\/+$/, ""),
      ...(caFile !== undefined && { caFile, caData: "" }),
      // There is nothing to verify without TLS, but the library requires this option.
      skipTLSVerify: cluster.skipTLSVerify || skipsTlsVerify || server.startsWith("http:"),
    },
    {
      ...user,
      ...(token !== undefined && { token }),
      ...(certFile !== undefined && { certFile, certData: "" }),
      ...(keyFile !== undefined && { keyFile, keyData: "" }),
    },
  ];
}

function replaceCurrent(config: KubeConfig, [cluster, user]: [Cluster, User]): void {
  config.clusters = config.clusters.map((one) => (one.name === cluster.name ? cluster : one));
  config.users = config.users.map((one) => (one.name === user.name ? user : one));
}
