/** The Kubernetes pod of a request, from CNI_ARGS. */
import type { Pod } from "../identity/pod.ts";

/** `undefined` unless the runtime passed both the namespace and the pod (Calico's criterion for Kubernetes). */
export function podOf(args: Readonly<Record<string, string>>): Pod | undefined {
  const { K8S_POD_NAMESPACE: namespace = "", K8S_POD_NAME: name = "" } = args;
  return namespace === "" || name === "" ? undefined : { namespace, name };
}

/** The UID of that pod as the kubelet knows it; that of a static pod is not the API server's. `undefined` if the runtime passed none. */
export function podUidOf({ K8S_POD_UID: uid = "" }: Readonly<Record<string, string>>): string | undefined {
  return uid === "" ? undefined : uid;
}
