/** A kubeconfig with a token of a service account (TokenRequest), for a program of the node that is in no pod. */
import { readFileSync } from "node:fs";
import type { Cluster } from "@kubernetes/client-node";
import type { IssuedKubeconfig } from "../async-datastore.ts";
import type { About } from "../cluster/backend.ts";
import { StoreError } from "../store-error.ts";
import { type Api, conflict, missing } from "./api.ts";

interface TokenRequest {
  readonly status: { readonly token: string; readonly expirationTimestamp: string };
}

/** As Calico's is called. */
const context = "calico-context";

/** Rejects with `StoreError`, also if there is no such account. */
export async function issueKubeconfig(
  api: Api,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  seconds: number,
  timeoutMs: number,
): Promise<IssuedKubeconfig> {
  const about: About = {
    action: "request a token of",
    object: { kind: "ServiceAccount", name: `${namespace}/${name}` },
  };
  const [inNamespace, account] = [namespace, name].map(encodeURIComponent);
  const path = `/api/v1/namespaces/${inNamespace}/serviceaccounts/${account}/token`;
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: seconds } };
  const answer = await api.call<TokenRequest>({ method: "POST", path, body, timeoutMs }, about);
  if (answer === missing || answer === conflict) throw new StoreError({ ...about, reason: "there is no such account" });
  const { token, expirationTimestamp } = answer.status;
  return { text: textOf(api.cluster(), name, token), expiresMs: Date.parse(expirationTimestamp) };
}

/** JSON, which is YAML too. The certificates are in it, because their file may be in another mount namespace. */
function textOf(cluster: Cluster, user: string, token: string): string {
  const { server, caFile, skipTLSVerify, tlsServerName } = cluster;
  const ca = cluster.caData || (caFile === undefined ? undefined : readFileSync(caFile).toString("base64"));
  const verified = skipTLSVerify
    ? { "insecure-skip-tls-verify": true }
    : {
        ...(ca !== undefined && { "certificate-authority-data": ca }),
        ...(tlsServerName && { "tls-server-name": tlsServerName }),
      };
  const config = {
    ...{ apiVersion: "v1", kind: "Config", "current-context": context },
    clusters: [{ name: "local", cluster: { server, ...verified } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: context, context: { cluster: "local", user } }],
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}
