/** Objects that a test creates in a real kube-apiserver, in place of a cluster's own programs and users. */
import { join } from "node:path";
import { root } from "../suite.ts";
import type { KubeApiserver } from "./kube-apiserver.ts";

/** The agents' account and its rights. */
export const agentRole = join(root, "conf-examples/kubernetes/rbac.yaml");
export const podsPath = "/api/v1/namespaces/default/pods";

/** As the kubelet registers it. */
export async function createNode(api: KubeApiserver, name: string): Promise<void> {
  await api.json("POST", "/api/v1/nodes", { apiVersion: "v1", kind: "Node", metadata: { name } });
}

/** Creates the account without which the server accepts no pod, as a controller of a cluster does. */
export async function createDefaultAccount(api: KubeApiserver): Promise<void> {
  const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } };
  await api.json("POST", "/api/v1/namespaces/default/serviceaccounts", account);
}

/** A pod that is assigned to the node; no kubelet runs its container. */
export function podOn(nodeName: string, name: string, metadata: object = {}): object {
  return {
    ...{ apiVersion: "v1", kind: "Pod", metadata: { name, ...metadata } },
    spec: { nodeName, automountServiceAccountToken: false, containers: [{ name: "c", image: "i" }] },
  };
}
