/** The settings about a kubeconfig for plugins of other projects. */
import type { ClusterSettings } from "../../store/cluster/settings.ts";
import type { Settings } from "./schema.ts";

export interface CniKubeconfig {
  readonly path: string;
  /** Of Calico's plugins; its namespace is that of the agent's pod. */
  readonly account: string;
  /** How often the token is renewed; `undefined`: when a quarter of its time is over. */
  readonly intervalMs: number | undefined;
}

/** `undefined`: none is kept. */
export function cniKubeconfigOf(settings: Settings): CniKubeconfig | undefined {
  if (settings.CALICO_MANAGE_CNI !== true) return undefined;
  return {
    path: settings.TORTIE_CNI_KUBECONFIG ?? "/etc/cni/net.d/calico-kubeconfig",
    account: settings.CALICO_CNI_SERVICE_ACCOUNT ?? "calico-cni-plugin",
    intervalMs: settings.CNI_TOKEN_REFRESH_INTERVAL,
  };
}

export function cniContradictions(
  { CALICO_MANAGE_CNI: isManaged = false }: Settings,
  cluster: ClusterSettings | undefined,
): readonly string[] {
  if (!isManaged || cluster?.type !== "etcdv3") return [];
  return [
    "cannot use CALICO_MANAGE_CNI=true beside etcd: only Kubernetes has service accounts, whose token the file is to have",
  ];
}
