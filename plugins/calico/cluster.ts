/**
 * The requests of `calico` to a cluster's node agent, apart from addresses:
 *
 *     ADD    reads the pod's annotations first ─► … ─► records the endpoint last
 *     DEL    removes the endpoint's record before it releases the addresses
 */
import { CniError, code } from "../../src/cni/error.ts";
import { podOf, podUidOf } from "../../src/cni/pod.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import type { Pod } from "../../src/identity/pod.ts";
import type { NatMessage } from "../../src/node-protocol/messages.ts";
import { withDocument } from "../../src/plugin/delegate.ts";
import {
  ask,
  askOrSpool,
  type ClusterNat,
  clusterNat,
  usesAgent,
  workloadMessage,
} from "../../src/plugin/node-agent.ts";
import type { AddRequest, CheckRequest, Context, JsonObject } from "../../src/plugin/plugin.ts";
import { annotationsCapability } from "../../src/plugin/pod-annotations.ts";
import { valueAt } from "../../src/plugin/unsupported.ts";
import { type CalicoConf, parseConf } from "./conf.ts";
import type { EndpointSpec } from "./endpoint.ts";

/** The request with the pod's annotations from Kubernetes, if the configuration asks for Kubernetes' policy, as Calico does. */
export function withAnnotations<R extends AddRequest<CalicoConf> | CheckRequest<CalicoConf>>(
  request: R,
  node: string,
  { sys }: Context,
): R {
  const pod = podOf(request.args);
  if (pod === undefined || !usesAgent(request.document) || !hasKubernetesPolicy(request.document)) return request;
  const { annotations = {} } = ask(sys, { op: "pod", nodename: node, pod, uid: podUidOf(request.args) });
  if (Object.keys(annotations).length === 0) return request;
  const runtimeConfig = objectAt(request.document, "runtimeConfig");
  const own = { ...objectAt(runtimeConfig, annotationsCapability), ...annotations };
  const document = { ...request.document, runtimeConfig: { ...runtimeConfig, [annotationsCapability]: own } };
  return { ...withDocument(request, document), conf: parseConf(document) };
}

/** Waits until the configuration's readiness gates are open. Throws `CniError` 7 for a value that Calico refuses too. */
export function awaitGates({ document }: Pick<AddRequest<CalicoConf>, "document">, node: string, sys: Sys): void {
  if (!usesAgent(document)) return;
  const urls = valueAt(document, "readiness_gates") ?? [];
  if (!Array.isArray(urls)) throw invalid("readiness_gates", urls, "want a list of URLs");
  const seconds = valueAt(document, "policy_setup_timeout_seconds") ?? 0;
  if (typeof seconds !== "number" || seconds < 0)
    throw invalid("policy_setup_timeout_seconds", seconds, "want seconds, at least 0");
  if (urls.length > 0) ask(sys, { op: "gates", nodename: node, urls: urls.map(String) });
}

function invalid(key: string, value: unknown, reason: string): CniError {
  return new CniError(code.invalidConfig, `cannot use key "${key}" with value ${JSON.stringify(value)}: ${reason}`);
}

/** `undefined` with the embedded datastore. */
export function clusterNatOf(document: JsonObject, node: string, sys: Sys): ClusterNat | undefined {
  return usesAgent(document) ? clusterNat(ask(sys, { op: "pools", nodename: node })) : undefined;
}

interface Recorded {
  readonly node: string;
  readonly pod: Pod | undefined;
  readonly ipNats: readonly NatMessage[];
  readonly allowedSources: readonly string[];
  /** Addresses that the datastore may not have yet. */
  readonly unconfirmed: readonly string[] | undefined;
}

/** Records the endpoint when the datastore has its addresses, and removes the record if the call fails. */
export function putEndpoint(
  { attachment, document, network }: AddRequest<CalicoConf>,
  { addresses, hostInterface, mac }: EndpointSpec,
  { node, pod, ipNats, allowedSources, unconfirmed: confirms }: Recorded,
  context: Context,
): void {
  if (!usesAgent(document)) return;
  const { sys } = context;
  const workload = workloadMessage(node, attachment, pod);
  const profiles = hasKubernetesPolicy(document) ? (pod === undefined ? [] : [`kns.${pod.namespace}`]) : [network];
  context.undo(
    "record of the endpoint",
    () => void askOrSpool(sys, attachment, { op: "delete-endpoint", ...workload }),
  );
  ask(sys, {
    ...{ op: "put-endpoint", ...workload, addresses, hostInterface, mac, profiles, confirms },
    ...(ipNats.length > 0 && { ipNats }),
    ...(allowedSources.length > 0 && { allowedSources }),
  });
}

/** Does not fail if the agent or the datastore is unavailable; returns whether it is, so that the next request need not wait. */
export function deleteEndpoint(
  sys: Sys,
  attachment: Attachment,
  { node, pod }: { readonly node: string; readonly pod: Pod | undefined },
): boolean {
  const { isSpooled = false } = askOrSpool(sys, attachment, {
    op: "delete-endpoint",
    ...workloadMessage(node, attachment, pod),
  });
  return isSpooled;
}

function hasKubernetesPolicy(document: JsonObject): boolean {
  return objectAt(document, "policy").type === "k8s";
}

function objectAt(value: JsonObject, key: string): JsonObject {
  const found = value[key];
  return typeof found === "object" && found !== null ? (found as JsonObject) : {};
}
