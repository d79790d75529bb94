/** The name of Calico's WorkloadEndpoint. */

export interface EndpointParts {
  readonly node: string;
  readonly orchestrator: "k8s" | "cni";
  /** The pod (`k8s`) or the container ID (`cni`). */
  readonly workload: string;
  /** The interface in the sandbox. */
  readonly endpoint: string;
}

/** `<node>-<orchestrator>-<workload>-<endpoint>`, the dashes of each part doubled (libcalico-go, lib/names). */
export function endpointName({ node, orchestrator, workload, endpoint }: EndpointParts): string {
  return [node, orchestrator, workload, endpoint].map((part) => part.replaceAll("-", "--")).join("-");
}
