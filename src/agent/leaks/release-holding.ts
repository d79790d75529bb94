/** Releases the addresses of one handle after a fresh look, guarded by handle and sequence number: all of them or none. */
import { readBlock } from "../../ipam/model/affinity.ts";
import { readHandle } from "../../ipam/model/handle.ts";
import { releaseIps } from "../../ipam/release/release-ips.ts";
import { type AsyncStore, driveAsync, type Transaction } from "../../store/transaction.ts";
import { withDeadline } from "../deadline.ts";
import { type Held, type Holding, heldIn, signatureOf } from "./holding.ts";

/** From the look to the last write: a process that is frozen in between looks again. */
const decisionMs = 5000;

export interface ReleaseStores {
  /** The datastore itself, for the look. */
  readonly fresh: AsyncStore;
  /** What the writes go through. */
  readonly transactions: AsyncStore;
}

export interface ReleaseOrder {
  readonly holding: Holding;
  /** Nanoseconds since the epoch. */
  readonly now: bigint;
  /** Whether the addresses are in use after all. */
  readonly isOwned: () => Transaction<boolean>;
  /** What goes before the addresses. */
  readonly before?: () => Transaction<unknown>;
}

/** Resolves with whether the addresses were released; they were not if they are owned, or are no more what was seen. */
export async function releaseHolding(
  { fresh, transactions }: ReleaseStores,
  { holding, now, isOwned, before }: ReleaseOrder,
): Promise<boolean> {
  const looking = withDeadline(fresh, decisionMs);
  const writing = withDeadline(transactions, decisionMs);
  if (await driveAsync(isOwned(), looking)) return false;
  if (signatureOf(await driveAsync(readHolding(holding), looking)) !== signatureOf(holding)) return false;
  if (before !== undefined) await driveAsync(before(), writing);
  const options = holding.addresses.map(({ address, handleId, sequenceNumber }) => ({
    address,
    handle: handleId,
    sequenceNumber,
  }));
  const { errors } = await driveAsync(releaseIps(options, now), writing);
  if (errors[0] !== undefined) throw errors[0];
  return true;
}

/** What the handle holds now, in the blocks that were seen and in those that it names. */
function* readHolding({ handleId, addresses }: Holding): Transaction<Holding> {
  const handle = yield* readHandle(handleId);
  const cidrs = new Set([...addresses.map(({ block }) => block), ...Object.keys(handle?.spec.block ?? {})]);
  const held: Held[] = [];
  for (const cidr of cidrs) {
    const block = yield* readBlock(cidr);
    if (block !== undefined) held.push(...heldIn(block).filter((one) => one.handleId === handleId));
  }
  return { handleId, addresses: held };
}
