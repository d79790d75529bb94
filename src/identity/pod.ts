/** A Kubernetes pod by its name. */

export interface Pod {
  readonly namespace: string;
  readonly name: string;
}

/** Of Calico's annotations of pods and namespaces. */
export const annotationPrefix = "cni.projectcalico.org/";

export function isSamePod(one: Pod, other: Pod): boolean {
  return one.namespace === other.namespace && one.name === other.name;
}
