/**
 * Addresses from the embedded datastore: pools, cut into blocks that this node claims.
 *
 *     pool 192.168.0.0/16 ─► block 192.168.185.0/26, affine to this node ─► ordinal 8 ─► 192.168.185.8
 *                                                                           handle <network>.<containerID>
 *
 * ADD returns the addresses that the attachment holds already, or new ones: all that were requested or none. DEL, CHECK and GC use the handle.
 */
import { CniError, code } from "../../src/cni/error.ts";
import { podOf } from "../../src/cni/pod.ts";
import type { Result } from "../../src/cni/result.ts";
import { nowNs } from "../../src/host/clock.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type AssignArgs, type AssignRequest, autoAssign } from "../../src/ipam/assign/assign.ts";
import { withDefaultPools } from "../../src/ipam/assign/default-pools.ts";
import { isEarlierSandbox } from "../../src/ipam/assign/earlier.ts";
import { assignAddresses } from "../../src/ipam/assign/explicit.ts";
import { noteLastPools, readLastPools } from "../../src/ipam/assign/last-pool.ts";
import { attributesOf } from "../../src/ipam/model/attributes.ts";
import type { AllocationAttribute } from "../../src/ipam/model/block.ts";
import { type HandleOwner, handleIdOf } from "../../src/ipam/model/handle.ts";
import { type Assigned, addressesOf, readHandleContents } from "../../src/ipam/model/handle-contents.ts";
import type { Pool } from "../../src/ipam/model/pool.ts";
import { NoAddressError } from "../../src/ipam/no-address.ts";
import { collect } from "../../src/ipam/release/gc.ts";
import { legacyHandles, releaseLegacy } from "../../src/ipam/release/legacy.ts";
import { reclaimBlocks, reclaimFormerNodes, retryReclaiming } from "../../src/ipam/release/reclaim.ts";
import { releaseByHandle } from "../../src/ipam/release/release.ts";
import { refuseDifferences } from "../../src/plugin/differences.ts";
import { nodename } from "../../src/plugin/nodename.ts";
import type { AddRequest, Context, DelRequest, JsonObject } from "../../src/plugin/plugin.ts";
import { orAbsent } from "../../src/plugin/request.ts";
import type { Datastore } from "../../src/store/datastore.ts";
import { datastoreType, openDatastore } from "../../src/store/open.ts";
import type { StoreError } from "../../src/store/store-error.ts";
import { drive, type Transaction } from "../../src/store/transaction.ts";
import { type IpamConf, nothingWanted, requestedAddresses } from "./conf.ts";
import { differences } from "./differences.ts";
import { nodeOf } from "./node.ts";
import { checkReadiness } from "./readiness.ts";
import { logReleased } from "./released.ts";
import { repair } from "./repair.ts";
import { resultOf } from "./result.ts";
import type { AddressSource, CallDetails } from "./source.ts";
import { reservedAddresses } from "./subnets.ts";

/** The operations over the embedded datastore. */
export const embedded: AddressSource = {
  add: addAddresses,

  check({ attachment, prevResult, document }, { sys }) {
    const handleId = handleIdOf(attachment);
    const held = addressesOf(drive(readHandleContents(handleId), openDatastore(datastoreType(document), sys).store));
    const found = differences(
      held.map(({ address }) => address),
      prevResult,
    );
    refuseDifferences(`the addresses of handle "${handleId}"`, found);
  },

  del: releaseAddresses,

  gc(request, context) {
    const { network, valid, conf } = request;
    const handles = new Set(valid.map((one) => handleIdOf({ network, ...one })));
    const node = conf && orAbsent(context.log, () => nodename(conf.node, context.sys));
    let leftOut: StoreError | undefined;
    const datastore = datastoreOf(request, context, (error) => {
      leftOut = error;
    });
    const collector = {
      network,
      node: datastore.isNodesOwn ? undefined : requireNode(node),
      now: nowNs(context.sys),
      isValid: (owner: HandleOwner) => handles.has(handleIdOf(owner)),
    };
    const { released, errors } = datastore.transact(function* () {
      leftOut = undefined;
      yield { op: "sweep" };
      const collected = yield* collect(collector);
      // A damaged handle is repaired first, and may then be stale like any other.
      if (leftOut !== undefined) throw leftOut;
      if (node !== undefined) {
        yield* reclaimBlocks(node);
        if (datastore.isNodesOwn) yield* reclaimFormerNodes(node);
      }
      return collected;
    });
    logReleased(context, "stale addresses released", released);
    if (errors.length > 0) {
      throw new CniError(
        code.datastore,
        `cannot collect all stale addresses: ${errors.map(({ message }) => message).join("; ")}`,
      );
    }
  },

  status(request, context) {
    const { conf } = request;
    const node = nodeOf(request, context);
    const datastore = datastoreOf(request, context, node.leftOut);
    checkReadiness(conf, nodename(conf.node, context.sys), node.poolContext, nowNs(context.sys), datastore);
  },
};

function addAddresses(request: AddRequest<IpamConf>, context: Context, details: CallDetails): Result {
  const { conf, args, attachment } = request;
  const requests = attachment.ifname === "eth0" ? conf.requestsOfPod : conf.requests;
  const addresses = requestedAddresses(requests, args);
  if (addresses.length === 0 && requests.wanted.length === 0) throw nothingWanted();
  const node = nodeOf(request, context);
  const assignArgs = { ...assignArgsOf(request, context.sys), nodes: node.own };
  const mayTakeOver = isEarlierSandbox(attachment, podOf(args));
  let isWhole = true;
  const datastore = datastoreOf(request, context, (error) => {
    isWhole = false;
    node.leftOut(error);
  });
  const reclaimFor = datastore.isNodesOwn ? assignArgs.node : undefined;
  let subnets: readonly Pool[] = [];
  const assign = function* () {
    const wanted = requests.wanted.map((one) => ({ ...one, count: 1 }));
    // A gateway's subnet may be any pool.
    const isShort = addresses.length === 0 && conf.gateways.length === 0;
    const last = isShort ? yield* assignFromLast({ ...assignArgs, wanted }) : undefined;
    if (last !== undefined) return last;
    return yield* withDefaultPools(requests.configured, node.poolContext, function* (pools) {
      if (isWhole) details.pools = pools.pools;
      subnets = pools.pools;
      const reserved = reservedAddresses(subnets, conf.gateways);
      if (addresses.length > 0) {
        const named = { ...assignArgs, pools, addresses, mayTakeOver, reserved };
        return yield* retryReclaiming(reclaimFor, () => assignAddresses(named));
      }
      const assigned = yield* retryReclaiming(reclaimFor, () => autoAssign({ ...assignArgs, wanted, reserved, pools }));
      yield* noteLastPools(assignArgs.node, wanted, pools, assigned);
      return assigned;
    });
  };
  context.record();
  const assigned = node.use(() => datastore.transact(assign));
  // Addresses that the attachment held before have another timestamp.
  const isNew = ({ secondary }: AllocationAttribute) => secondary?.timestamp === assignArgs.attributes.timestamp;
  context.undo("assignment of addresses", () =>
    datastoreOf(request, context).transact(() =>
      releaseByHandle(assignArgs.handleId, (_, attribute) => isNew(attribute)),
    ),
  );
  context.log.info("addresses assigned", () => ({
    handle: assignArgs.handleId,
    ips: assigned.map(({ address }) => address),
  }));
  return resultOf(assigned, addresses.length > 0, conf, subnets);
}

function releaseAddresses(request: DelRequest<IpamConf>, context: Context, details: CallDetails): void {
  const { attachment, args } = request;
  const handleId = handleIdOf(attachment);
  const released = datastoreOf(request, context).transact(function* () {
    const own = yield* releaseByHandle(handleId, undefined, nowNs(context.sys));
    const legacy = yield* releaseLegacy(legacyHandles(attachment, podOf(args)));
    return [...own, ...legacy];
  });
  details.released = released.map(({ address }) => address);
  logReleased(context, "addresses released", released, { handle: handleId });
}

/** `undefined` if the pools of the last assignment are unknown or full. */
function* assignFromLast(request: Omit<AssignRequest, "pools">): Transaction<readonly Assigned[] | undefined> {
  const pools = yield* readLastPools(request.node, request.wanted, request.attributes.namespace);
  if (pools === undefined) return undefined;
  try {
    return yield* autoAssign({ ...request, pools, reach: "new" });
  } catch (error) {
    if (error instanceof NoAddressError) return undefined;
    throw error;
  }
}

export function assignArgsOf({ attachment, conf, args }: AddRequest<IpamConf>, sys: Sys): Omit<AssignArgs, "pools"> {
  const clock = sys.wallClock();
  const node = nodename(conf.node, sys);
  return {
    handleId: handleIdOf(attachment),
    node,
    attributes: attributesOf({ node, ifname: attachment.ifname, pod: podOf(args) }, clock),
    now: BigInt(clock.seconds) * 1_000_000_000n + BigInt(clock.nanoseconds),
  };
}

/** In a store with several nodes, a release requires the node's name. */
function requireNode(node: string | undefined): string {
  if (node !== undefined) return node;
  throw new CniError(code.invalidConfig, "cannot collect stale addresses: the name of this node is not known");
}

/**
 * The datastore, which repairs a damaged object when an operation meets it. `onLeftOut` is called for each one that a listing omits. DEL and GC
 * also work with an invalid configuration, but not without its lock.
 */
function datastoreOf(
  { conf, document }: { readonly conf: IpamConf | undefined; readonly document: JsonObject },
  context: Context,
  onLeftOut?: (error: StoreError) => void,
): Datastore {
  const { sys, log } = context;
  return openDatastore(datastoreType(document), sys, {
    lockFile: conf?.lockFile ?? lockFileOf(document),
    repair: (error) => repair(context, error),
    onDamaged(error) {
      log.warning("object left out", () => ({ error: error.message }));
      onLeftOut?.(error);
    },
  });
}

function lockFileOf(document: JsonObject): string | undefined {
  const path = document.ipam_lock_file;
  return typeof path === "string" && path !== "" ? path : undefined;
}
