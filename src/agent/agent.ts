/**
 * The agent: it runs on each node of a cluster, and only it talks to the datastore.
 *
 *     lock ─► health (not ready) ─► datastore ─► the node's start ─► socket ─► ready ─► … ─► SIGTERM: the same in reverse order
 */
import type { Server } from "node:http";
import { CoreError } from "../errors/core-error.ts";
import type { Sys } from "../host/sys.ts";
import type { NodeStatusMessage } from "../node-protocol/messages.ts";
import type { AsyncDatastore } from "../store/async-datastore.ts";
import { openClusterDatastore } from "../store/cluster/open.ts";
import { readInterfaces, sourceTo } from "./address/interfaces.ts";
import { poolContext } from "./address/pool-context.ts";
import { type Bgp, beginBgp } from "./bgp/bgp.ts";
import { keepCniKubeconfig } from "./cni/kubeconfig.ts";
import { followTrouble } from "./datastore/follow-trouble.ts";
import { NodeStore } from "./datastore/node-store.ts";
import { sharingWatches } from "./datastore/shared.ts";
import { type DatastoreWatch, watchDatastore } from "./datastore-watch.ts";
import { Endpoints } from "./endpoints/endpoints.ts";
import { NodePods } from "./endpoints/node-pods.ts";
import { StatusFiles } from "./endpoints/status-files.ts";
import { Health } from "./health.ts";
import { closeHttp, healthPages, metricsPages, serveHttp } from "./http.ts";
import { Addresses } from "./ipam/addresses.ts";
import { Adds } from "./ipam/adds.ts";
import { KeyedQueue } from "./ipam/keyed-queue.ts";
import { Unconfirmed } from "./ipam/unconfirmed.ts";
import { Leaks, type LeaksOptions } from "./leaks/leaks.ts";
import { Records } from "./leaks/records.ts";
import { lockAgent } from "./lock.ts";
import { Metrics } from "./metrics.ts";
import { beginNetwork } from "./network/begin.ts";
import { addProcessMetrics } from "./process-metrics.ts";
import type { AgentSettings } from "./settings/read.ts";
import { type Answered, type Answerer, answer, serveMessage } from "./socket/answer.ts";
import { parseMessage } from "./socket/parse.ts";
import { type ServedSocket, serveSocket } from "./socket/server.ts";
import { Spool } from "./spool.ts";
import type { NodeAddresses } from "./start/node-address.ts";
import { tellNetworkState } from "./start/node-condition.ts";
import { keepNode } from "./start/node-object.ts";
import { determineNodename, writeNodename } from "./start/nodename.ts";
import { type AgentLog, followAddresses, startNode, waitForDatastore } from "./start/start-node.ts";

/** How long requests in progress may take when the agent ends. */
const drainMs = 10_000;

export interface AgentHost {
  readonly sys: Sys;
  readonly log: AgentLog;
  /** Ends the agent. */
  readonly signal: AbortSignal;
}

/** Runs until the signal. Rejects with the error that prevents the start. */
export async function runAgent(settings: AgentSettings, { sys, log, signal }: AgentHost): Promise<void> {
  const node = determineNodename(settings, sys);
  const ends: (() => void | Promise<void>)[] = [];
  try {
    ends.push(lockAgent(`${settings.socket}.lock`, sys));
    const health = new Health();
    health.set("start", "the node's start is not done");
    const metrics = new Metrics();
    addProcessMetrics(metrics);
    for (const server of await serve(settings, health, metrics)) ends.push(() => closeHttp(server));
    const datastore = sharingWatches(await openClusterDatastore(settings.cluster));
    ends.push(() => datastore.close());
    await waitForDatastore({ datastore, log }, settings.waitsForDatastore, signal);
    const facts = { interfaces: readInterfaces, sourceTo };
    const addresses = await startNode(node, settings, { datastore, facts, around: poolContext(), log });
    const followed = followAddresses(node, settings, { datastore, facts, log, signal, addresses });
    const watch = follow(datastore, { health, metrics, log, signal });
    if (settings.cniKubeconfig !== undefined)
      void keepCniKubeconfig(settings.cniKubeconfig, { datastore, sys, log, signal });
    const adds = new Adds();
    const ownNode = settings.nodenameFromRequest ? undefined : node;
    const transactions = nodeStore(datastore, ownNode, adds, log);
    const records = ownNode === undefined ? undefined : new Records(sys);
    const network =
      settings.network &&
      beginNetwork(settings.network, {
        ...{ node, datastore, transactions, sys, health, metrics, log, signal },
        onUplink: () => followed?.poke(),
      });
    const bgp = settings.bgp && beginBgp(settings.bgp, { node, datastore, health, metrics, log, signal });
    if (bgp !== undefined) ends.push(() => bgp.close());
    const answerer: Answerer = {
      addresses: new Addresses(datastore, sys.wallClock, transactions),
      endpoints: endpointsOf(settings, { node: ownNode, datastore, transactions, log }),
      statusFiles: statusFilesOf(settings, sys, log),
      node: ownNode,
      queue: new KeyedQueue(),
      adds,
      unconfirmed: new Unconfirmed(),
      records,
      settle: (attachment) => spool.settle(attachment),
      heldBack: watch.heldBack,
      outgoing: network && (() => network.outgoing()),
      networkTroubles: network && (() => network.troubles()),
      describeNode: () => describeNode(node, settings, health, bgp),
      onAnswer: observer(metrics, log),
    };
    const spool = followSpool(answerer, { sys, metrics, log, signal });
    if (records !== undefined) {
      const current = () => followed?.current ?? addresses;
      const around = { node, addresses: current, datastore, transactions, records, heldBack: watch.heldBack, metrics };
      followLeaks(settings, answerer, { ...around, sys, log, signal });
    }
    const socket = await servePlugins(settings.socket, metrics, answerer);
    ends.push(() => socket.drain(drainMs));
    // Plugins take the file as the sign that the node is ready.
    if (ownNode !== undefined) writeNodename(settings.nodenameFile, node, sys);
    if (settings.recordsAddresses && ownNode !== undefined) {
      await tellNetworkState(datastore, { node, isUp: true, log });
      ends.push(() => tellNetworkState(datastore, { node, isUp: false, log }));
    }
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

/** For `tortie node status`. */
function describeNode(
  nodename: string,
  { cluster, network }: AgentSettings,
  health: Health,
  bgp: Bgp | undefined,
): NodeStatusMessage {
  const sessions = bgp?.sessions.map(({ neighbour: peer, ...session }) => ({ peer, ...session }));
  return {
    nodename,
    datastore: cluster.type,
    notReady: health.reasons(),
    networking: network === undefined ? "none" : network.usesBgp ? "bird" : "vxlan",
    ...(sessions !== undefined && { bgp: sessions }),
  };
}

async function serve(settings: AgentSettings, health: Health, metrics: Metrics): Promise<readonly Server[]> {
  const servers: Server[] = [];
  if (settings.health !== undefined)
    servers.push(await serveHttp(settings.health, healthPages(health), "FELIX_HEALTHPORT"));
  if (settings.metrics !== undefined)
    servers.push(await serveHttp(settings.metrics, metricsPages(metrics), "FELIX_PROMETHEUSMETRICSPORT"));
  return servers;
}

async function servePlugins(path: string, metrics: Metrics, answerer: Answerer): Promise<ServedSocket> {
  const socket = await serveSocket({ path, handle: (request) => answer(answerer, request) });
  const help = "Requests of plugins that are being answered.";
  metrics.reading("tortie_node_requests_pending", "gauge", help, socket.pending);
  return socket;
}

function nodeStore(datastore: AsyncDatastore, node: string | undefined, adds: Adds, log: AgentLog): NodeStore {
  return new NodeStore(datastore, node, followTrouble(log), () => adds.count());
}

function statusFilesOf({ statusPrefix }: AgentSettings, sys: Sys, log: AgentLog): StatusFiles | undefined {
  const onFailure = ({ message: error }: Error) => log.warn({ error }, "status file of a pod not kept");
  return statusPrefix === undefined ? undefined : new StatusFiles(statusPrefix, sys, onFailure);
}

interface EndpointsContext {
  /** `undefined` for an agent that serves many nodes. */
  readonly node: string | undefined;
  readonly datastore: AsyncDatastore;
  readonly transactions: NodeStore;
  readonly log: AgentLog;
}

function endpointsOf({ cluster }: AgentSettings, { node, datastore, transactions, log }: EndpointsContext): Endpoints {
  const isKubernetes = cluster.type === "kubernetes";
  const pods = isKubernetes && node !== undefined ? new NodePods(datastore, node, followTrouble(log)) : undefined;
  return new Endpoints(transactions, isKubernetes, pods);
}

/** The requests that plugins left while no agent answered. */
function followSpool(
  answerer: Answerer,
  { sys, metrics, log, signal }: AgentHost & { readonly metrics: Metrics },
): Spool {
  const spool = new Spool({
    sys,
    execute: async (text) => void (await serveMessage(answerer, parseMessage({ text }))),
    onDone: (file) => log.info({ file }, "spooled request done"),
    onFailure: (file, { message: error }, isFinal) =>
      log.warn({ file, error }, isFinal ? "spooled request refused" : "spooled request waits"),
  });
  metrics.reading("tortie_node_spooled_requests", "gauge", "Requests of plugins that wait in the spool.", () =>
    spool.pending(),
  );
  spool.follow(signal);
  return spool;
}

interface LeakContext
  extends AgentHost,
    Pick<LeaksOptions, "node" | "datastore" | "transactions" | "records" | "heldBack"> {
  /** As they are recorded. */
  readonly addresses: () => NodeAddresses;
  readonly metrics: Metrics;
}

function followLeaks({ cluster, leakGraceSeconds }: AgentSettings, { queue }: Answerer, context: LeakContext): void {
  const { node, addresses, datastore, signal } = context;
  const isKubernetes = cluster.type === "kubernetes";
  // In Kubernetes the Node is the kubelet's.
  const keep = async () => void (isKubernetes || (await datastore.transact(() => keepNode(node, addresses()))));
  new Leaks({ ...context, isKubernetes, queue, graceSeconds: leakGraceSeconds, keepNode: keep }).follow(signal);
}

interface Watching {
  readonly health: Health;
  readonly metrics: Metrics;
  readonly log: AgentLog;
  readonly signal: AbortSignal;
}

function follow(datastore: AsyncDatastore, { health, metrics, log, signal }: Watching): DatastoreWatch {
  const watch = watchDatastore(datastore, signal, (trouble) => {
    health.set("datastore", trouble);
    if (trouble === undefined) log.info({}, "datastore is back");
    else log.warn({ error: trouble }, "datastore is away");
  });
  metrics.reading("tortie_node_datastore_up", "gauge", "Whether the datastore answered when it was last asked.", () =>
    watch.trouble() === undefined ? 1 : 0,
  );
  return watch;
}

/** Counts requests and logs failed ones, since a runtime may not log a plugin's error. */
function observer(metrics: Metrics, log: AgentLog): (answered: Answered) => void {
  const count = metrics.counter(
    "tortie_node_requests_total",
    "Requests of plugins, by what was asked and how it ended.",
  );
  const time = metrics.histogram("tortie_node_request_seconds", "How long the answers to plugins took.");
  return ({ op, ms, error }) => {
    count({ op, result: error === undefined ? "done" : error instanceof CoreError ? error.kind : "bug" });
    time(ms / 1000, { op });
    if (error === undefined) log.debug({ op, ms }, "answered");
    else
      log.warn({ op, ms, error: error instanceof CoreError ? error.message : error.stack }, "answered with an error");
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
