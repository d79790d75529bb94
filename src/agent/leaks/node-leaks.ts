/**
 * Leaked addresses of this node: their plugin was killed, or the machine rebooted, before they could be released.
 *
 *     blocks say that this node holds it
 *       ├─ its attachment has a record here, or the address is the node's own ──► in use
 *       ├─ it was assigned by Calico's plugin, without Kubernetes ──────────────► not known, so in use
 *       └─ at every look of the grace period the same ──► fresh look: record? pod? the same assignment? ──► released
 *
 * **The requests of its attachment wait meanwhile**, so that an ADD is assigned what is left.
 */
import { type Attachment, attachmentKey } from "../../identity/attachment.ts";
import { isBlock } from "../../ipam/model/block.ts";
import type { StoredObject } from "../../store/object.ts";
import { type AsyncStore, driveAsync, read, type Transaction } from "../../store/transaction.ts";
import { deleteEndpoint } from "../endpoints/record.ts";
import type { KeyedQueue } from "../ipam/keyed-queue.ts";
import { Ages, type LookOptions } from "./ages.ts";
import { type Held, type Holding, heldIn, holdingsOf, ownerOf, ownerOfBlock, signatureOf } from "./holding.ts";
import { hasLivingPod } from "./pod-evidence.ts";
import type { Records } from "./records.ts";
import { releaseHolding } from "./release-holding.ts";

/** What the agent has in memory of the node's addresses. */
export interface KnownBlocks extends AsyncStore {
  /** `undefined` while they are not known. */
  ownBlocks(): readonly StoredObject[] | undefined;
  /** Blocks of other nodes that may have addresses of this one, by CIDR. */
  readonly borrowed: Set<string>;
}

export interface NodeLeaksOptions extends LookOptions {
  /** The datastore itself. */
  readonly fresh: AsyncStore;
  readonly transactions: KnownBlocks;
  readonly records: Records;
  /** Orders the requests of each attachment. */
  readonly queue: KeyedQueue;
  readonly onFailure: (holding: Holding, error: Error) => void;
}

export class NodeLeaks {
  readonly #options: NodeLeaksOptions;
  readonly #ages: Ages;
  #candidates: readonly Holding[] = [];
  #borrowed: readonly Held[] = [];

  constructor(options: NodeLeaksOptions) {
    this.#options = options;
    this.#ages = new Ages(options.maxGapMs, options.clockMs);
  }

  /** What looked like a leak at the last look. */
  candidates(): readonly Holding[] {
    return this.#candidates;
  }

  /** What this node held in other nodes' blocks at the last look. */
  borrowed(): readonly Held[] {
    return this.#borrowed;
  }

  /** Looks once, and releases what has been leaked for the grace period. Rejects if the datastore cannot be read. */
  async look(): Promise<void> {
    const { graceMs, onFailure } = this.#options;
    const held = await this.#heldHere();
    if (held === undefined) return;
    this.#candidates = holdingsOf(held).filter((holding) => this.#isSuspect(holding));
    this.#ages.look(new Map(this.#candidates.map((holding) => [holding.handleId, signatureOf(holding)])));
    for (const holding of this.#candidates) {
      if (!this.#ages.isOlder(holding.handleId, graceMs)) continue;
      await this.#release(holding).catch((error: Error) => onFailure(holding, error));
    }
  }

  /** `undefined` while the node's blocks are not known, or where records prove nothing. */
  async #heldHere(): Promise<readonly Held[] | undefined> {
    const { transactions, records, node } = this.#options;
    const own = transactions.ownBlocks();
    if (own === undefined || !records.isEvidence()) return undefined;
    const borrowed: Held[] = [];
    for (const cidr of transactions.borrowed) borrowed.push(...(await this.#borrowedIn(cidr)));
    this.#borrowed = borrowed;
    return [
      ...own
        .filter(isBlock)
        .flatMap(heldIn)
        .filter((one) => one.node === node),
      ...borrowed,
    ];
  }

  /** What this node holds in a block of another node. */
  async #borrowedIn(cidr: string): Promise<readonly Held[]> {
    const { transactions, node, fresh } = this.#options;
    const block = await driveAsync(read({ kind: "IPAMBlock", cidr }), fresh);
    const isOther = block !== undefined && isBlock(block) && ownerOfBlock(block) !== node;
    const held = isOther ? heldIn(block).filter((one) => one.node === node) : [];
    if (held.length === 0) transactions.borrowed.delete(cidr);
    return held;
  }

  #isSuspect(holding: Holding): boolean {
    const { isNode, isOurs, attachment, pod } = ownerOf(holding);
    if (isNode || (attachment !== undefined && this.#options.records.has(attachment))) return false;
    return isOurs || (this.#options.isKubernetes && pod !== undefined);
  }

  async #release(holding: Holding): Promise<void> {
    const { fresh, transactions, queue, now, records, onReleased } = this.#options;
    const { attachment } = ownerOf(holding);
    const key = attachment === undefined ? holding.handleId : attachmentKey(attachment);
    const isReleased = await queue.run(key, () =>
      releaseHolding(
        { fresh, transactions },
        {
          holding,
          now: now(),
          isOwned: () => this.#isOwned(holding),
          ...(attachment !== undefined && { before: () => this.#forgetEndpoint(holding, attachment) }),
        },
      ),
    );
    if (!isReleased) return;
    if (attachment !== undefined) records.noteReleased(attachment);
    onReleased(holding);
  }

  *#isOwned(holding: Holding): Transaction<boolean> {
    const { node, isKubernetes } = this.#options;
    if (!this.#isSuspect(holding)) return true;
    return isKubernetes && (yield* hasLivingPod(node, holding));
  }

  /** In Kubernetes the pod is gone, or has another sandbox. */
  *#forgetEndpoint(holding: Holding, attachment: Attachment): Transaction<void> {
    const { node, isKubernetes } = this.#options;
    const { pod, isOurs } = ownerOf(holding);
    if (!isKubernetes && isOurs) yield* deleteEndpoint({ node, attachment, pod });
  }
}
