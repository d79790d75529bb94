/**
 * Calico's keys that this version does not support. They are rejected, because ignoring them would silently break their promise. One error names
 * all of them: a conflist of a Calico cluster has four.
 *
 * Keys for access to a cluster's datastore are accepted with that datastore, but not used: the node agent has its own settings.
 *
 * A key with its neutral value, which requests nothing, is accepted, so that conflists from a template work.
 */
import { CniError, code } from "../cni/error.ts";
import { usesAgent } from "./node-agent.ts";
import type { JsonObject } from "./plugin.ts";

interface Rule {
  /** The key's path from the top of the document. */
  readonly path: readonly [string] | readonly [string, string];
  /** Neutral values, in addition to absent, `null`, `""`, `false`, 0 and empty ones. */
  readonly neutral?: readonly string[];
  readonly why: string;
  readonly remedy: string;
  /** Whether the node agent supports it. */
  readonly isForAgent?: true;
}

const embedded =
  'it leads to the datastore of a cluster, and this configuration uses the embedded one ("datastore_type": "file")';
const remove = "remove the key";
const noPolicy = "this version enforces no network policy";

const rules: readonly Rule[] = [
  {
    path: ["datastore_type"],
    neutral: ["file", "kubernetes", "etcdv3"],
    why: "there is no such datastore",
    remedy: 'set it to "file", "kubernetes" or "etcdv3"',
  },
  ...["endpoints", "discovery_srv", "authority", "key_file", "cert_file", "ca_cert_file"].map((key) => ({
    path: [`etcd_${key}`] as const,
    why: embedded,
    remedy: remove,
  })),
  { path: ["etcd_scheme"], neutral: ["http"], why: embedded, remedy: remove },
  ...["kubeconfig", "k8s_api_root", "node_name"].map((key) => ({
    path: ["kubernetes", key] as const,
    why: embedded,
    remedy: remove,
  })),
  { path: ["calico_api_group"], neutral: ["crd.projectcalico.org/v1"], why: embedded, remedy: remove },
  // In a cluster it also enables the pods' annotations.
  { path: ["policy", "type"], why: noPolicy, remedy: remove, isForAgent: true },
  ...["k8s_api_root", "k8s_auth_token", "k8s_client_certificate", "k8s_client_key", "k8s_certificate_authority"].map(
    (key) => ({ path: ["policy", key] as const, why: embedded, remedy: remove }),
  ),
  // In a cluster there is no policy whose set-up an ADD would have to await either.
  { path: ["policy_setup_timeout_seconds"], why: noPolicy, remedy: "set it to 0 or remove it", isForAgent: true },
  {
    path: ["readiness_gates"],
    why: "only the node agent of a cluster waits for other services",
    remedy: remove,
    isForAgent: true,
  },
  {
    path: ["feature_control", "ip_addrs_no_ipam"],
    why: "this version supports only addresses from IPAM",
    remedy: "set it to false or remove it",
    isForAgent: true,
  },
  {
    path: ["feature_control", "floating_ips"],
    why: "this version does not support floating IPs",
    remedy: "set it to false or remove it",
    isForAgent: true,
  },
  {
    path: ["dataplane_options", "type"],
    neutral: ["linux"],
    why: "this version configures the Linux kernel directly",
    remedy: remove,
  },
  { path: ["device_type"], neutral: ["veth"], why: "this version supports only veth pairs", remedy: remove },
  { path: ["mode"], why: "this version supports no overlay networks", remedy: remove },
];

/** By the first key in lower case, because runtimes and templates write keys in any case. A document has fewer keys than there are rules. */
const rulesByKey: ReadonlyMap<string, readonly Rule[]> = (() => {
  const byKey = new Map<string, Rule[]>();
  for (const rule of rules) byKey.set(rule.path[0], [...(byKey.get(rule.path[0]) ?? []), rule]);
  return byKey;
})();

/** Throws `CniError` 2, which names all unsupported keys with reasons and remedies. */
export function refuseUnsupported(document: JsonObject): void {
  const found = unsupportedIn(document);
  if (found.length === 0) return;
  const message = isOfCluster(found)
    ? `cannot use this conflist: it ${ofCluster}: ${found.map(shortText).join(", ")}; see docs/operations.md`
    : `cannot use ${found.map(describeUnsupported).join("; and ")}`;
  throw new CniError(code.unsupportedField, message);
}

/** The hint for a Calico cluster's configuration. */
export const ofCluster =
  'has the keys of a Calico cluster, but "datastore_type" names none; set it to "kubernetes" or "etcdv3", or remove these keys';

/** A single key may be a mistake; several mean that the conflist was written for a cluster. */
export function isOfCluster(found: readonly Unsupported[]): boolean {
  return found.length > 1 && found.some(({ rule }) => rule.why === embedded);
}

/** The first keys of these rules, in lower case: they are Calico's, and known, whatever their value. */
export function calicoKeys(): readonly string[] {
  return [...rulesByKey.keys()];
}

interface Unsupported {
  readonly rule: Rule;
  readonly value: unknown;
}

export function unsupportedIn(document: JsonObject): readonly Unsupported[] {
  const found: Unsupported[] = [];
  const isOfAgent = usesAgent(document);
  for (const key in document) {
    for (const rule of rulesByKey.get(key.toLowerCase()) ?? []) {
      if (isOfAgent && (rule.isForAgent || rule.why === embedded)) continue;
      const value = valueAt(document[key], rule.path[1]);
      if (!isNeutral(rule, value)) found.push({ rule, value });
    }
  }
  return found;
}

/** `key "mode" with value "vxlan": this version supports no overlay networks; remove the key`. */
export function describeUnsupported({ rule: { path, why, remedy }, value }: Unsupported): string {
  return `key "${path.join(".")}" with value ${shown(path, value)}: ${why}; ${remedy}`;
}

/** `"policy.type" is "k8s" (remove the key)`. */
function shortText({ rule: { path, remedy }, value }: Unsupported): string {
  return `"${path.join(".")}" is ${shown(path, value)} (${remedy})`;
}

/** Hides values that may be secret: many people may read the log. */
function shown(path: Rule["path"], value: unknown): string {
  return path[1] === "k8s_auth_token" ? "a secret" : JSON.stringify(value);
}

function isNeutral({ neutral }: Rule, value: unknown): boolean {
  return asksForNothing(value) || (typeof value === "string" && neutral?.includes(value.toLowerCase()) === true);
}

/** Calico's switches in `feature_control`. */
export type Feature = "ip_addrs_no_ipam" | "floating_ips";

export function isFeatureOn(document: JsonObject, feature: Feature): boolean {
  return valueAt(valueAt(document, "feature_control"), feature) === true;
}

/** The value itself, or the value of a key in it, in any case. `inner`: in lower case. */
export function valueAt(value: unknown, inner: string | undefined): unknown {
  if (inner === undefined) return value;
  if (typeof value !== "object" || value === null) return undefined;
  for (const key in value) {
    if (key.toLowerCase() === inner) return (value as JsonObject)[key];
  }
  return undefined;
}

function asksForNothing(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return value === undefined || value === null || value === "" || value === false || value === 0;
}
