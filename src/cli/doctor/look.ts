/** Gathers the facts that a diagnosis checks. Changes nothing. */

import { ownerOf } from "../../identity/attachment.ts";
import { checkIpam } from "../../ipam/check/check.ts";
import { LockError, LockTimeout } from "../../store/file/lock-error.ts";
import type { Cli } from "../cli.ts";
import { takeSnapshot } from "../ipam/snapshot.ts";
import { type Facts, gatherFacts } from "../node/facts.ts";
import { datastoreOf } from "../store.ts";
import { gatherAddressing } from "./addressing.ts";
import { gatherChecks, splitShared } from "./checks.ts";
import type { ChangingFacts, StaticFacts } from "./diagnosis.ts";
import { gatherExecutables } from "./executables.ts";
import { gatherFirewall } from "./firewall.ts";
import { gatherListeners } from "./host-processes.ts";
import { gatherKernel } from "./kernel.ts";
import { readCached } from "./libcni-cache.ts";
import { gatherLimits } from "./limits.ts";
import { gatherLocks, type LockFacts, watchLocks } from "./locks.ts";
import { gatherNetworks, type NetworkFacts, networksIn, ourNetworks, typesOf } from "./networks.ts";
import { gatherAgent, natFacts } from "./node-agent.ts";
import { gatherParts } from "./parts.ts";
import { gatherReach, servicesIn } from "./reach/gather.ts";
import { repairableProblems } from "./repairable.ts";
import { gatherRecords, tracesOf } from "./sandboxes.ts";
import { gatherState } from "./state.ts";
import { gatherTunnels } from "./tunnels/gather.ts";

export interface DiagnosisOptions {
  readonly confDir: string;
  readonly binDirs: readonly string[];
  /** Younger objects are not checked if a plugin that is not visible may be working on them. */
  readonly graceSeconds: number;
  /** Whether packets may be sent. */
  readonly probe: boolean;
}

export function graceNs({ graceSeconds }: DiagnosisOptions): bigint {
  return BigInt(Math.round(graceSeconds * 1e9));
}

/** Locks whose holders hang. */
function lookAtLocks(cli: Cli, networks: NetworkFacts): LockFacts {
  return watchLocks(cli, () => gatherLocks(cli, lockFilesOf(networks)));
}

function lockFilesOf(networks: NetworkFacts): readonly string[] {
  return networksIn(networks).flatMap(({ plugins }) =>
    plugins.flatMap(({ document: { ipam_lock_file: path } }) =>
      typeof path === "string" && path !== "" ? [path] : [],
    ),
  );
}

/** Before the executables have been identified. */
function typesOfInterest(networks: NetworkFacts): readonly string[] {
  return ourNetworks(networks, () => true).flatMap(({ plugins }) => plugins.flatMap(typesOf));
}

/** Facts that do not change during a run. */
export async function gatherStatic(
  cli: Cli,
  { confDir, binDirs }: DiagnosisOptions,
): Promise<StaticFacts & { readonly locks: LockFacts }> {
  const networks = gatherNetworks(cli, confDir);
  const locks = lookAtLocks(cli, networks);
  const [kernel, executables, addressing] = await Promise.all([
    gatherKernel(cli),
    gatherExecutables(cli, binDirs, typesOfInterest(networks)),
    gatherAddressing(cli, networks),
  ]);
  return { kernel, executables, networks, addressing, locks };
}

/** `locked`: reads the store under its lock, because operations in progress look like problems otherwise. */
export async function gatherChanging(
  cli: Cli,
  settled: StaticFacts,
  where: DiagnosisOptions,
  locked: boolean,
): Promise<ChangingFacts> {
  const [facts, firewall, state] = await Promise.all([gatherFacts(cli), gatherFirewall(cli), gatherState(cli)]);
  const limits = await gatherLimits(cli, facts.hostLinks);
  const look = () => ({
    snapshot: { ...takeSnapshot(cli, facts), graceNs: graceNs(where) },
    records: gatherRecords(cli),
    parts: gatherParts(cli),
  });
  const { snapshot, records, parts } = locked ? underLock(cli, look) : look();
  const agent = gatherAgent(
    cli,
    parts,
    ourNetworks(settled.networks, () => true),
  );
  const listeners = gatherListeners(cli, firewall);
  const cached = gatherCached(cli, facts);
  const report = checkIpam(snapshot);
  const repairable = repairableProblems(cli, report, snapshot);
  const seen = { facts, records, parts, cached, snapshot, report, repairable, firewall, listeners, limits, state };
  const traces = tracesOf(seen);
  const checks = await gatherChecks(cli, traces, facts.processes, settled);
  const shared = splitShared(checks, natFacts(snapshot.pools, agent));
  const reach = await gatherReach(cli, traces, {
    pools: snapshot.pools,
    processes: facts.processes,
    // A pod that they cut off needs no probe. Port mappings do not cut off a pod.
    differences: new Map([...shared.own].filter(([, found]) => found.some(({ plugin }) => plugin !== "portmap"))),
    brokenNat: shared.families,
    probe: where.probe,
  });
  const tunnels = await gatherTunnels(cli, { services: servicesIn(facts.processes), probe: where.probe });
  return { ...seen, agent, checks, reach, tunnels };
}

/** By owner. */
function gatherCached(cli: Cli, { endpoints }: Facts): ChangingFacts["cached"] {
  return new Map(
    endpoints.flatMap(({ attachment }) => {
      const found = readCached(cli, attachment);
      return found === undefined ? [] : [[ownerOf(attachment), found] as const];
    }),
  );
}

const lockPatienceMs = 10_000;

/** If another process keeps the lock, or the disk takes no writes (which STATUS reports), looks without it; the result is less certain. */
function underLock<T>(cli: Cli, look: () => T): T {
  try {
    return datastoreOf(cli, { lockTimeoutMs: lockPatienceMs }).exclusively(look);
  } catch (error) {
    if (error instanceof LockTimeout || error instanceof LockError) return look();
    throw error;
  }
}
