/**
 * The labels that pools' selectors are evaluated against.
 *
 *     node        kubernetes.io/hostname=<node>                  and those of /var/lib/tortie/nodes/<node>.json, a Calico Node
 *     namespace   kubernetes.io/metadata.name=<namespace>        and those of /var/lib/tortie/namespaces/<namespace>.json
 *
 * **Nothing is read unless a pool has a selector other than `all()`.** The label of the object takes precedence.
 */

import type { Kind } from "../../store/object.ts";
import { read, type Transaction } from "../../store/transaction.ts";
import type { Pool } from "./pool.ts";
import type { Labels } from "./selector.ts";

/** The labels of the node and the namespace of a request. */
export interface Scope {
  readonly node: string;
  readonly nodeLabels: Labels;
  /** `undefined` if the namespace is unknown: then no namespaceSelector matches. */
  readonly namespaceLabels: Labels | undefined;
}

export function* readScope(pools: readonly Pool[], node: string, namespace: string | undefined): Transaction<Scope> {
  const isAsked = pools.some(({ nodeSelector }) => needsEvaluation(nodeSelector));
  const isNamespaceAsked =
    namespace !== undefined && pools.some(({ namespaceSelector }) => needsEvaluation(namespaceSelector));
  return {
    node,
    nodeLabels: isAsked ? yield* labelsOf("Node", node, { "kubernetes.io/hostname": node }) : {},
    namespaceLabels: isNamespaceAsked
      ? yield* labelsOf("Namespace", namespace, { "kubernetes.io/metadata.name": namespace })
      : undefined,
  };
}

/** Whether a selector has to be evaluated; nearly all match everything. */
export function needsEvaluation(selector: string): boolean {
  return selector !== "" && selector !== "all()";
}

function* labelsOf(kind: Kind, name: string, implied: Labels): Transaction<Labels> {
  const object = yield* read({ kind, name });
  return { ...implied, ...object?.metadata.labels };
}
