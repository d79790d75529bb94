/**
 * The start of a node, in the datastore:
 *
 *     wait for the datastore ─► ClusterInformation ─► find this node's addresses ─► record its Node ─► make the first pools ─► nodename file
 *
 * **Each step can be repeated**: a killed agent starts from the beginning. The file comes last: plugins take it as the sign that the node is ready.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { PoolContext } from "../../ipam/assign/default-pools.ts";
import { overlaps } from "../../net/prefix.ts";
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import { StoreError } from "../../store/store-error.ts";
import { driveAsync, read } from "../../store/transaction.ts";
import type { AgentSettings } from "../settings/read.ts";
import { clusterKey, recordCluster } from "./cluster-information.ts";
import { FollowedAddresses } from "./follow-addresses.ts";
import { type NodeAddresses, type NodeFacts, ownAddresses } from "./node-address.ts";
import { checkAddresses, recordNode } from "./node-object.ts";
import { makeDefaultPools } from "./pools.ts";

export interface AgentLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface StartContext {
  readonly datastore: AsyncDatastore;
  readonly facts: NodeFacts;
  readonly around: Pick<PoolContext, "random" | "networks" | "routes">;
  readonly log: AgentLog;
}

const pauseMs = 1000;

/** Rejects with the last `StoreError` if it must not wait, and with the signal's reason if that comes first. */
export async function waitForDatastore(
  { datastore, log }: Pick<StartContext, "datastore" | "log">,
  waits: boolean,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    try {
      await driveAsync(read(clusterKey), datastore.store);
      return;
    } catch (error) {
      if (!(error instanceof StoreError) || !waits) throw error;
      log.warn({ error: error.message }, "datastore not reached; waiting");
      await sleep(pauseMs, undefined, { signal });
    }
  }
}

/** Resolves with the node's addresses as they are recorded. Rejects with the error that prevents the node's start. */
export async function startNode(name: string, settings: AgentSettings, context: StartContext): Promise<NodeAddresses> {
  await context.datastore.transact(() => recordCluster(settings.clusterTypes));
  const addresses = settings.nodenameFromRequest ? {} : await record(name, settings, context);
  await makePools(settings, context);
  return addresses;
}

/** In etcd a node is also recorded without addresses: one that is not counts as gone. */
async function record(name: string, settings: AgentSettings, context: StartContext): Promise<NodeAddresses> {
  const { datastore, log } = context;
  const addresses = settings.recordsAddresses ? await findAddresses(name, settings, context) : {};
  if (!settings.recordsAddresses && settings.cluster.type === "kubernetes") return addresses;
  const isNew = await datastore.transact(() => recordNode(name, addresses, settings.asNumber));
  log.info({ node: name, ips: Object.values(addresses), isNew }, "node recorded");
  return addresses;
}

/** Detects the node's addresses again as long as it runs. Those of several nodes, or of a network that another program makes, are not the agent's. */
export function followAddresses(
  name: string,
  settings: AgentSettings,
  { datastore, facts, log, signal, addresses }: FollowContext,
): FollowedAddresses | undefined {
  if (settings.nodenameFromRequest || !settings.recordsAddresses) return undefined;
  return new FollowedAddresses({
    ...{ addresses, log, signal },
    intervalMs: settings.detectionIntervalMs,
    detect: () => detect(name, settings, { datastore, facts }),
    async record(changed) {
      await requireOwn(name, changed, settings, datastore);
      await datastore.transact(() => recordNode(name, changed, undefined));
    },
  });
}

interface FollowContext extends Pick<StartContext, "datastore" | "facts" | "log"> {
  readonly signal: AbortSignal;
  /** As they were recorded at the start. */
  readonly addresses: NodeAddresses;
}

async function findAddresses(name: string, settings: AgentSettings, context: StartContext): Promise<NodeAddresses> {
  const addresses = await detect(name, settings, context);
  await requireOwn(name, addresses, settings, context.datastore);
  return addresses;
}

/** From the settings, from the Node, or detected. */
async function detect(
  name: string,
  { addresses: wanted }: AgentSettings,
  { datastore, facts }: Pick<StartContext, "datastore" | "facts">,
): Promise<NodeAddresses> {
  return ownAddresses(wanted, await driveAsync(read({ kind: "Node", name }), datastore.store), facts);
}

async function requireOwn(
  name: string,
  addresses: NodeAddresses,
  { checksAddresses }: AgentSettings,
  datastore: AsyncDatastore,
): Promise<void> {
  if (checksAddresses) await driveAsync(checkAddresses(name, addresses), datastore.store);
}

async function makePools({ pools }: AgentSettings, { datastore, around, log }: StartContext): Promise<void> {
  for (const pool of await datastore.transact(() => makeDefaultPools(pools, around))) {
    const { name } = pool.metadata;
    const { cidr } = pool.spec as { readonly cidr: string };
    log.info({ pool: name, cidr }, "pool made");
    const network = around
      .networks(cidr.includes(":") ? 6 : 4)
      ?.addresses.find(({ address }) => overlaps(address, cidr));
    if (network !== undefined) log.warn({ pool: name, cidr, ...network }, "pool overlaps with a network of this node");
  }
}
