/**
 * `calico-ipam`: addresses from pools, cut into blocks that this node claims.
 *
 *     pool 192.168.0.0/16 ─► block 192.168.185.0/26, affine to this node ─► ordinal 8 ─► 192.168.185.8
 *                                                                           handle <network>.<containerID>
 *
 * ADD gives what the attachment holds already, or new addresses: all that were asked for or none. DEL, CHECK and GC go by the handle.
 */
import { CniError, code } from "../../src/cni/error.ts";
import { podOf } from "../../src/cni/pod.ts";
import type { Result } from "../../src/cni/result.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type AssignRequest, autoAssign, type Claimant } from "../../src/ipam/assign/assign.ts";
import { ensureDefaultPools } from "../../src/ipam/assign/default-pools.ts";
import { assignAddresses } from "../../src/ipam/assign/explicit.ts";
import { rememberPools } from "../../src/ipam/assign/known-pools.ts";
import { noteLastPools, readLastPools } from "../../src/ipam/assign/last-pool.ts";
import { attributesOf } from "../../src/ipam/model/attributes.ts";
import type { AllocationAttribute } from "../../src/ipam/model/block.ts";
import { handleIdOf } from "../../src/ipam/model/handle.ts";
import { type Assigned, addressesOf, readHeld } from "../../src/ipam/model/held.ts";
import { NoAddressError } from "../../src/ipam/no-address.ts";
import { collect } from "../../src/ipam/release/gc.ts";
import { orWithStrays, reclaimBlocks, reclaimStrays } from "../../src/ipam/release/reclaim.ts";
import { releaseByHandle } from "../../src/ipam/release/release.ts";
import { rememberReleased } from "../../src/ipam/release/released.ts";
import { familyOf } from "../../src/net/address.ts";
import { hostPrefix, lengthOf } from "../../src/net/prefix.ts";
import { refuseDifferences } from "../../src/plugin/differences.ts";
import { nodename } from "../../src/plugin/nodename.ts";
import { type AddRequest, type Context, definePlugin, type JsonObject } from "../../src/plugin/plugin.ts";
import { orAbsent } from "../../src/plugin/request.ts";
import { fileStore } from "../../src/store/file.ts";
import { withFileStore } from "../../src/store/lock.ts";
import type { StoreError } from "../../src/store/store-error.ts";
import { drive, type Transaction } from "../../src/store/transaction.ts";
import { sweepLeftovers } from "../../src/store/upkeep.ts";
import { type IpamConf, nothingWanted, parseConf, requestedAddresses } from "./conf.ts";
import { differences } from "./differences.ts";
import { isEarlierSandbox } from "./earlier.ts";
import { legacyHandles, releaseLegacy } from "./legacy.ts";
import { nodeOf } from "./node.ts";
import { checkReadiness } from "./readiness.ts";
import { driveRepairing } from "./repair.ts";

export default definePlugin<IpamConf>({
  name: "calico-ipam",
  parseConf,
  // Asked by another main plugin than ours, of which nothing else is recorded.
  records: true,

  add(request, context) {
    const { conf, args, attachment } = request;
    const requests = attachment.ifname === "eth0" ? conf.requestsOfPod : conf.requests;
    const addresses = requestedAddresses(requests, args);
    if (addresses.length === 0 && requests.wanted.length === 0) throw nothingWanted();
    const node = nodeOf(request, context);
    const claimant = { ...claimantOf(request, context.sys), nodes: node.own };
    const mayTakeOver = isEarlierSandbox(attachment, podOf(args));
    let isWhole = true;
    const assign = function* () {
      const wanted = requests.wanted.map((one) => ({ ...one, count: 1 }));
      const request = { ...claimant, wanted, reserved: conf.gateways };
      const last = addresses.length > 0 ? undefined : yield* assignFromLast(request);
      if (last !== undefined) return last;
      const pools = yield* ensureDefaultPools(requests.configured, node.surroundings);
      if (isWhole) rememberPools(context.sys, pools);
      if (addresses.length > 0) {
        const named = { ...claimant, pools, addresses, mayTakeOver };
        return yield* orWithStrays(claimant.node, () => assignAddresses(named));
      }
      const assigned = yield* orWithStrays(claimant.node, () => autoAssign({ ...request, pools }));
      yield* noteLastPools(claimant.node, wanted, pools, assigned);
      return assigned;
    };
    context.record();
    const assigned = node.use(() =>
      locked(context, conf.lockFile, assign, (error) => {
        isWhole = false;
        node.leftOut(error);
      }),
    );
    // What the attachment held before has another time.
    const isNew = ({ secondary }: AllocationAttribute) => secondary?.timestamp === claimant.attributes.timestamp;
    context.undo("assignment of addresses", () =>
      locked(context, conf.lockFile, () => releaseByHandle(claimant.handleId, (_, attribute) => isNew(attribute))),
    );
    context.log.info("addresses assigned", () => ({
      handle: claimant.handleId,
      ips: assigned.map(({ address }) => address),
    }));
    return resultOf(assigned, addresses.length > 0, conf);
  },

  check({ attachment, prevResult }, { sys }) {
    const handleId = handleIdOf(attachment);
    const held = addressesOf(drive(readHeld(handleId), fileStore(sys)));
    const found = differences(
      held.map(({ address }) => address),
      prevResult,
    );
    refuseDifferences(`the addresses of handle "${handleId}"`, found);
  },

  del({ attachment, args, conf, document }, context) {
    const handleId = handleIdOf(attachment);
    const released = locked(context, conf?.lockFile ?? lockFileOf(document), function* () {
      const own = yield* releaseByHandle(handleId, undefined, nowOf(context.sys));
      const legacy = yield* releaseLegacy(legacyHandles(attachment, args));
      return [...own, ...legacy];
    });
    rememberReleased(
      context.sys,
      released.map(({ address }) => address),
    );
    logReleased(context, "addresses released", released, { handle: handleId });
  },

  gc({ network, valid, conf, document }, context) {
    const handles = new Set(valid.map((one) => handleIdOf({ network, ...one })));
    const node = conf && orAbsent(context.log, () => nodename(conf.node, context.sys));
    let leftOut: StoreError | undefined;
    const collectAll = function* () {
      leftOut = undefined;
      sweepLeftovers(context.sys);
      const collected = yield* collect(network, (owner) => handles.has(handleIdOf(owner)));
      // A handle that cannot be read is rebuilt, and then may be stale like any other.
      if (leftOut !== undefined) throw leftOut;
      if (node !== undefined) {
        yield* reclaimBlocks(node);
        yield* reclaimStrays(node);
      }
      return collected;
    };
    const { released, errors } = locked(context, conf?.lockFile ?? lockFileOf(document), collectAll, (error) => {
      leftOut = error;
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
    checkReadiness(conf, nodename(conf.node, context.sys), context.sys, node.surroundings, (transaction) =>
      locked(context, conf.lockFile, () => transaction, node.leftOut),
    );
  },
});

/** `undefined` when the pools that gave last are not known or have no room. */
function* assignFromLast(request: Omit<AssignRequest, "pools">): Transaction<readonly Assigned[] | undefined> {
  const pools = yield* readLastPools(request.node, request.wanted, request.attributes.namespace);
  if (pools === undefined) return undefined;
  try {
    return yield* autoAssign({ ...request, pools, isFirstTry: true });
  } catch (error) {
    if (error instanceof NoAddressError) return undefined;
    throw error;
  }
}

function claimantOf({ attachment, conf, args }: AddRequest<IpamConf>, sys: Sys): Omit<Claimant, "pools"> {
  const clock = sys.wallClock();
  const node = nodename(conf.node, sys);
  return {
    handleId: handleIdOf(attachment),
    node,
    attributes: attributesOf({ node, ifname: attachment.ifname, pod: podOf(args) }, clock),
    now: nanoseconds(clock),
  };
}

/** Nothing released is no news: DEL and GC are repeated. */
function logReleased(
  { log }: Context,
  message: string,
  released: readonly { readonly address: string }[],
  more = {},
): void {
  const fields = () => ({ ...more, ips: released.map(({ address }) => address) });
  if (released.length > 0) log.info(message, fields);
  else log.debug(message, fields);
}

function nowOf(sys: Sys): bigint {
  return nanoseconds(sys.wallClock());
}

function nanoseconds(clock: ReturnType<Sys["wallClock"]>): bigint {
  return BigInt(clock.seconds) * 1_000_000_000n + BigInt(clock.nanoseconds);
}

/**
 * Runs a transaction over the embedded store under the node's lock, rebuilding damaged objects that it meets; `onLeftOut` is told of those
 * that a listing leaves out.
 */
function locked<T>(
  context: Context,
  outerLock: string | undefined,
  transaction: () => Transaction<T>,
  onLeftOut?: (error: StoreError) => void,
): T {
  const { sys, log } = context;
  const onDamaged = (error: StoreError) => {
    log.warning("object left out", () => ({ error: error.message }));
    onLeftOut?.(error);
  };
  return withFileStore(sys, { outerLock, onDamaged }, (store) =>
    driveRepairing(context, transaction, store, () => nowOf(sys)),
  );
}

/** DEL and GC go on without a valid configuration, but not without its lock. */
function lockFileOf(document: JsonObject): string | undefined {
  const path = document.ipam_lock_file;
  return typeof path === "string" && path !== "" ? path : undefined;
}

/** As Calico: with the block's mask, for addresses asked for by name with their own. But a gateway is of use in a subnet only. */
function resultOf(assigned: readonly Assigned[], byName: boolean, { gateways, routes }: IpamConf): Result {
  return {
    ips: assigned.map(({ address, block }) => {
      const gateway = gateways.find((one) => familyOf(one) === familyOf(address));
      if (gateway !== undefined) return { address: `${address}/${lengthOf(block)}`, gateway };
      return { address: byName ? hostPrefix(address) : `${address}/${lengthOf(block)}` };
    }),
    ...(routes.length === 0 ? {} : { routes }),
  };
}
