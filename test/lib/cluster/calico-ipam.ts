/**
 * Calico's IPAM on one node, played: the writes that its library makes, in its order, in the shape that was recorded (`test/fixtures/calico-newest`), each with a
 * comparison of revisions. A write that comes after another one is tried again from the start, as in Calico.
 */
import type { Random } from "../random.ts";
import type { Fields, RawIpam, RawKey, RawObject } from "./raw-ipam.ts";

interface Block {
  readonly cidr: string;
  readonly affinity?: string;
  readonly allocations: readonly (number | null)[];
  readonly unallocated: readonly number[];
  readonly attributes: readonly { readonly handle_id: string; readonly secondary: Readonly<Record<string, string>> }[];
  readonly sequenceNumber: bigint | number;
  readonly sequenceNumberForAllocation: Readonly<Record<string, bigint | number>>;
}

export interface Assigned {
  readonly handle: string;
  readonly address: string;
}

const maxTries = 100;

export class CalicoIpam {
  readonly node: string;
  readonly #store: RawIpam;
  readonly #random: Random;
  readonly #cidrs: readonly string[];

  constructor(store: RawIpam, node: string, cidrs: readonly string[], random: Random) {
    this.node = node;
    this.#store = store;
    this.#cidrs = cidrs;
    this.#random = random;
  }

  /** Claims a block that no node has; `undefined` if others were faster or there is none. `isOld`: as a release that wrote no labels. */
  async claim({ isOld = false } = {}): Promise<string | undefined> {
    const taken = new Set((await this.#store.list("block")).map(({ key }) => key.cidr));
    const free = this.#cidrs.filter((cidr) => !taken.has(cidr));
    if (free.length === 0) return undefined;
    const cidr = this.#random.pick(free);
    const affinity: RawKey = { kind: "affinity", node: this.node, cidr };
    await this.#store.create(affinity, this.#affinity(cidr, "pending"), { isLabelled: !isOld });
    if (!(await this.#store.create({ kind: "block", cidr }, this.#emptyBlock(cidr)))) {
      // Another node's, by now.
      const own = await this.#store.read(affinity);
      if (own !== undefined) await this.#store.remove(own);
      return undefined;
    }
    await this.#change(affinity, () => this.#affinity(cidr, "confirmed"));
    return cidr;
  }

  /** Assigns an address of an own block, or of another node's: it is borrowed. `undefined` if no such block has one. */
  async assign(handle: string, { borrows = false } = {}): Promise<Assigned | undefined> {
    for (const { key, spec } of await this.#store.list("block")) {
      const isOwn = (spec as unknown as Block).affinity === `host:${this.node}`;
      if (isOwn === borrows || (spec as unknown as Block).unallocated.length === 0) continue;
      await this.#count(handle, key.cidr ?? "", 1);
      let ordinal: number | undefined;
      const isDone = await this.#change(key, (now) => {
        [ordinal] = (now as unknown as Block).unallocated;
        return ordinal === undefined ? undefined : this.#withAddress(now as unknown as Block, ordinal, handle);
      });
      if (isDone && ordinal !== undefined) return { handle, address: addressOf(key.cidr ?? "", ordinal) };
      await this.#count(handle, key.cidr ?? "", -1);
    }
    return undefined;
  }

  /** Releases what the handle has. */
  async release(handle: string): Promise<void> {
    const found = await this.#store.read({ kind: "handle", handle });
    for (const cidr of Object.keys((found?.spec.block as Fields) ?? {})) {
      let released = 0;
      await this.#change({ kind: "block", cidr }, (now) => {
        const next = withoutHandle(now as unknown as Block, handle);
        released = next.unallocated.length - (now as unknown as Block).unallocated.length;
        return released === 0 ? undefined : { ...next };
      });
      if (released > 0) await this.#count(handle, cidr, -released);
    }
  }

  /** Gives back an own block that is empty. */
  async releaseBlock(): Promise<void> {
    const blocks = await this.#store.list("block");
    const own = blocks.find(({ spec }) => isEmpty(spec) && spec.affinity === `host:${this.node}`);
    if (own === undefined) return;
    const cidr = own.key.cidr ?? "";
    const affinity: RawKey = { kind: "affinity", node: this.node, cidr };
    await this.#change(affinity, () => this.#affinity(cidr, "pendingDeletion"));
    if (await this.#store.remove(own)) {
      const left = await this.#store.read(affinity);
      if (left !== undefined) await this.#store.remove(left);
    } else await this.#change(affinity, () => this.#affinity(cidr, "confirmed"));
  }

  /** Labels what an older release wrote (`UpgradeHost`). */
  async upgradeHost(): Promise<void> {
    for (const affinity of await this.#store.list("affinity"))
      if (affinity.key.node === this.node) await this.#store.label(affinity);
  }

  /** Writes, into a block, what no program of today knows. Returns the block's CIDR. */
  async markBlock(): Promise<string | undefined> {
    const blocks = await this.#store.list("block");
    if (blocks.length === 0) return undefined;
    const { key } = this.#random.pick(blocks);
    return (await this.#change(key, bumped, true)) ? key.cidr : undefined;
  }

  /** Whether it was changed; `undefined` of `to` leaves it. */
  async #change(key: RawKey, to: (spec: Fields) => Fields | undefined, marks = false): Promise<boolean> {
    for (let tries = 0; tries < maxTries; tries++) {
      const found: RawObject | undefined = await this.#store.read(key);
      const next = found && to(found.spec);
      if (found === undefined || next === undefined) return false;
      if (await this.#store.update(found, next, { marks })) return true;
    }
    throw new Error(`too many conflicts: ${JSON.stringify(key)}`);
  }

  async #count(handle: string, cidr: string, more: number): Promise<void> {
    const key: RawKey = { kind: "handle", handle };
    for (let tries = 0; tries < maxTries; tries++) {
      const found = await this.#store.read(key);
      if (found === undefined) {
        if (more < 0) return;
        const spec = { handleID: handle, block: { [cidr]: more }, deleted: false };
        if (await this.#store.create(key, spec)) return;
        continue;
      }
      const { [cidr]: count = 0, ...others } = found.spec.block as Readonly<Record<string, number>>;
      const block = count + more > 0 ? { ...others, [cidr]: count + more } : others;
      const isGone = Object.keys(block).length === 0;
      if (await (isGone ? this.#store.remove(found) : this.#store.update(found, { ...found.spec, block }))) return;
    }
    throw new Error(`too many conflicts at handle ${handle}`);
  }

  #affinity(cidr: string, state: string): Fields {
    return { cidr, node: this.node, state, type: "host", deleted: "false" };
  }

  #emptyBlock(cidr: string): Fields {
    const size = 2 ** (32 - Number(cidr.split("/")[1]));
    const ordinals = Array.from({ length: size }, (_, ordinal) => ordinal);
    return {
      ...{ cidr, affinity: `host:${this.node}`, allocations: ordinals.map(() => null), unallocated: ordinals },
      ...{ attributes: [], sequenceNumber: BigInt(Date.now()) * 1_000_000n + 1n, sequenceNumberForAllocation: {} },
      ...{ deleted: false, ...this.#store.blockFields(new Date().toISOString().replace(/\.\d+Z/, "Z")) },
    };
  }

  #withAddress(block: Block, ordinal: number, handle: string): Fields {
    const timestamp = new Date().toISOString().replace("T", " ").replace("Z", "000001 +0000 UTC");
    const attribute = {
      handle_id: handle,
      secondary: { node: this.node, timestamp, "vmi-name": "of a later release" },
    };
    return bumped({
      ...block,
      allocations: block.allocations.map((index, at) => (at === ordinal ? block.attributes.length : index)),
      unallocated: block.unallocated.slice(1),
      attributes: [...block.attributes, attribute],
      sequenceNumberForAllocation: { ...block.sequenceNumberForAllocation, [ordinal]: block.sequenceNumber },
    });
  }
}

function bumped(spec: Fields): Fields {
  return { ...spec, sequenceNumber: BigInt(spec.sequenceNumber as bigint) + 1n };
}

/** Freed ordinals come last; attributes that nothing names go, and the others move up. */
function withoutHandle(block: Block, handle: string): Block {
  const indexes = block.attributes.flatMap(({ handle_id: id }, index) => (id === handle ? [index] : []));
  const freed = block.allocations.flatMap((index, ordinal) =>
    index !== null && indexes.includes(index) ? [ordinal] : [],
  );
  const kept = block.attributes.map((_, index) => index).filter((index) => !indexes.includes(index));
  const numbers = Object.entries(block.sequenceNumberForAllocation).filter(([at]) => !freed.includes(Number(at)));
  return {
    ...block,
    allocations: block.allocations.map((index) =>
      index === null || !kept.includes(index) ? null : kept.indexOf(index),
    ),
    unallocated: [...block.unallocated, ...freed],
    attributes: kept.flatMap((index) => block.attributes[index] ?? []),
    sequenceNumber: BigInt(block.sequenceNumber) + 1n,
    sequenceNumberForAllocation: Object.fromEntries(numbers),
  };
}

function isEmpty(spec: Fields): boolean {
  return (spec as unknown as Block).allocations.every((index) => index === null);
}

function addressOf(cidr: string, ordinal: number): string {
  const [first = ""] = cidr.split("/");
  return first.replace(/\d+$/, (last) => String(Number(last) + ordinal));
}
