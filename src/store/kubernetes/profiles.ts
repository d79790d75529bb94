/**
 * Calico's profiles in Kubernetes are stored nowhere: each namespace and each service account stands for one.
 *
 *     namespace default                      kns.default              labels with the prefix pcns.
 *     service account robot of default       ksa.default.robot        labels with the prefix pcsa.
 */
import type { StoredObject } from "../object.ts";
import type { Raw } from "./resources.ts";

type Texts = Readonly<Record<string, string>>;

export const serviceAccountsPath = "/api/v1/serviceaccounts";

/** All traffic is allowed; what restricts it is policy. */
const allow = [{ action: "Allow" }];

/** For endpoints without any other. */
export const defaultProfile = profile("projectcalico-default-allow", { ingress: allow, egress: allow });

export function profileOfNamespace({ metadata: { name, labels } }: Raw): StoredObject {
  const labelsToApply = prefixed("pcns.", { ...labels, "projectcalico.org/name": name });
  return profile(`kns.${name}`, { ingress: allow, egress: allow, labelsToApply });
}

/** Only labels: the namespace's profile has the rules. */
export function profileOfServiceAccount({ metadata: { name, namespace, labels } }: Raw): StoredObject {
  const labelsToApply = prefixed("pcsa.", { ...labels, "projectcalico.org/name": name });
  return profile(`ksa.${namespace}.${name}`, { labelsToApply });
}

function prefixed(prefix: string, labels: Texts): Texts {
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [`${prefix}${key}`, value]));
}

function profile(name: string, spec: object): StoredObject {
  return { apiVersion: "projectcalico.org/v3", kind: "Profile", metadata: { name }, spec };
}
