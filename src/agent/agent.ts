/**
 * The agent: what runs on each node of a cluster, and alone talks to its datastore.
 *
 *     lock ─► health (not ready) ─► datastore ─► the node's start ─► ready ─► … ─► SIGTERM: everything in the other order
 */
import type { Server } from "node:http";
import type { Sys } from "../host/sys.ts";
import { runDir } from "../identity/names.ts";
import type { AsyncDatastore } from "../store/async-datastore.ts";
import { openClusterDatastore } from "../store/cluster/open.ts";
import { readInterfaces, sourceTo } from "./address/interfaces.ts";
import { surroundings } from "./address/surroundings.ts";
import { watchDatastore } from "./datastore-watch.ts";
import { Health } from "./health.ts";
import { closeHttp, healthPages, metricsPages, serveHttp } from "./http.ts";
import { lockAgent } from "./lock.ts";
import { Metrics } from "./metrics.ts";
import { addProcessMetrics } from "./process-metrics.ts";
import type { AgentSettings } from "./settings/read.ts";
import { determineNodename, writeNodename } from "./start/nodename.ts";
import { type StartLog, startNode, waitForDatastore } from "./start/start-node.ts";

/** Never change: two releases side by side must keep each other out. */
const lockPath = `${runDir}/node.lock`;

export interface AgentHost {
  readonly sys: Sys;
  readonly log: StartLog;
  /** Ends the agent. */
  readonly signal: AbortSignal;
}

/** Runs until the signal. Rejects with what keeps it from starting. */
export async function runAgent(settings: AgentSettings, { sys, log, signal }: AgentHost): Promise<void> {
  const node = determineNodename(settings, sys);
  const ends: (() => void | Promise<void>)[] = [];
  try {
    ends.push(lockAgent(lockPath, sys));
    const health = new Health();
    health.set("start", "the node's start is not done");
    const metrics = new Metrics();
    addProcessMetrics(metrics);
    for (const server of await serve(settings, health, metrics)) ends.push(() => closeHttp(server));
    const datastore = await openClusterDatastore(settings.cluster);
    ends.push(() => datastore.close());
    await waitForDatastore({ datastore, log }, settings.waitsForDatastore, signal);
    const facts = { interfaces: readInterfaces, sourceTo };
    await startNode(node, settings, { datastore, facts, around: surroundings(), log });
    writeNodename(settings.nodenameFile, node, sys);
    follow(datastore, { health, metrics, log, signal });
    health.set("start", undefined);
    log.info({ node, datastore: settings.cluster.type }, "ready");
    await aborted(signal);
    log.info({}, "ending");
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

async function serve(settings: AgentSettings, health: Health, metrics: Metrics): Promise<readonly Server[]> {
  const servers: Server[] = [];
  if (settings.health !== undefined)
    servers.push(await serveHttp(settings.health, healthPages(health), "FELIX_HEALTHPORT"));
  if (settings.metrics !== undefined)
    servers.push(await serveHttp(settings.metrics, metricsPages(metrics), "FELIX_PROMETHEUSMETRICSPORT"));
  return servers;
}

interface Watching {
  readonly health: Health;
  readonly metrics: Metrics;
  readonly log: StartLog;
  readonly signal: AbortSignal;
}

function follow(datastore: AsyncDatastore, { health, metrics, log, signal }: Watching): void {
  const watch = watchDatastore(datastore, signal, (trouble) => {
    health.set("datastore", trouble);
    if (trouble === undefined) log.info({}, "datastore is back");
    else log.warn({ error: trouble }, "datastore is away");
  });
  metrics.reading("tortie_node_datastore_up", "gauge", "Whether the datastore answered when it was last asked.", () =>
    watch.trouble() === undefined ? 1 : 0,
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
