/**
 * Keeps a kubeconfig for plugins of other projects that ask the API server themselves (`CALICO_MANAGE_CNI`). Ours ask this agent and need none.
 *
 *     token for a day ─► file, by renaming, mode 0600 ─► a quarter of the token's time ─► the next token
 *
 * **The file always has a token that is valid**, unless the API server was away for longer than the rest of the token's time.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sys } from "../../host/sys.ts";
import type { AsyncDatastore, ServiceAccount } from "../../store/async-datastore.ts";
import type { CniKubeconfig } from "../settings/cni.ts";
import type { AgentLog } from "../start/start-node.ts";

export interface KubeconfigContext {
  readonly datastore: AsyncDatastore;
  readonly sys: Sys;
  readonly log: AgentLog;
  readonly signal: AbortSignal;
}

const tokenSeconds = 24 * 60 * 60;
const minPauseMs = 5000;
const podNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const defaultNamespace = "kube-system";

/** Ends with the signal; the file stays, because plugins need it while the agent is being replaced. */
export async function keepCniKubeconfig(
  { path, account: name, intervalMs }: CniKubeconfig,
  { datastore, sys, log, signal }: KubeconfigContext,
): Promise<void> {
  const account: ServiceAccount = { namespace: namespaceOf(sys), name };
  let lastError: string | undefined;
  while (!signal.aborted) {
    let pauseMs = minPauseMs;
    try {
      const expiresMs = await write(path, account, { datastore, sys });
      if (lastError !== undefined) log.info({ path }, "kubeconfig for plugins written");
      lastError = undefined;
      pauseMs = intervalMs ?? Math.max(minPauseMs, ((expiresMs - Date.now()) / 4) * (0.9 + 0.1 * Math.random()));
    } catch (error) {
      const { message } = error as Error;
      if (message !== lastError) log.warn({ path, error: message }, "cannot write the kubeconfig for plugins");
      lastError = message;
    }
    await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** Returns when the token expires. */
async function write(
  path: string,
  account: ServiceAccount,
  { datastore, sys }: Pick<KubeconfigContext, "datastore" | "sys">,
): Promise<number> {
  if (datastore.issueKubeconfig === undefined) throw new Error("only Kubernetes has service accounts");
  const { text, expiresMs } = await datastore.issueKubeconfig(account, tokenSeconds);
  sys.makeDirs(path.slice(0, path.lastIndexOf("/")) || "/", 0o755);
  sys.replaceFile(path, text, { mode: 0o600, durable: true });
  return expiresMs;
}

function namespaceOf(sys: Sys): string {
  return sys.stat(podNamespace) === undefined ? defaultNamespace : sys.readFile(podNamespace).trim();
}
