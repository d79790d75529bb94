/** The Kubernetes pod that a request is for, as CNI_ARGS names it. */
import type { Pod } from "../identity/pod.ts";

/** `undefined` unless the runtime named both the namespace and the pod (Calico's rule for "this is Kubernetes"). */
export function podOf(args: Readonly<Record<string, string>>): Pod | undefined {
  const { K8S_POD_NAMESPACE: namespace = "", K8S_POD_NAME: name = "" } = args;
  return namespace === "" || name === "" ? undefined : { namespace, name };
}
