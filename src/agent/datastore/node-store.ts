/**
 * The datastore for this node's transactions, with the objects that every pod needs in memory.
 *
 *     pools, reservations, settings, namespaces     followed
 *     the node's affinities                         followed
 *     the node's blocks                             followed, and written together (`blocks.ts`)
 *     handles                                       those that this agent wrote
 *     everything else                               read from the datastore
 *
 * **Nothing is decided by memory alone**: every write compares the revision, and an object whose write got a conflict is read again. Operations that
 * only read (CHECK, STATUS) use the datastore directly.
 */
import { isBlock, ordinalsOfHandle } from "../../ipam/model/block.ts";
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import { matches } from "../../store/filter.ts";
import { type Key, keyOf } from "../../store/key.ts";
import type { Kind, StoredObject } from "../../store/object.ts";
import { handleName, nameOf } from "../../store/object-name.ts";
import type { StoreError } from "../../store/store-error.ts";
import type { AsyncStore, StoreReply, StoreRequest } from "../../store/transaction.ts";
import { type Before, Blocks, type BlockWriter } from "./blocks.ts";
import { Followed } from "./followed.ts";

const everywhere = ["IPPool", "IPReservation", "IPAMConfig", "Namespace"] as const satisfies readonly Kind[];

type OnTrouble = (error: StoreError) => void;
type WriteRequest = Extract<StoreRequest, { op: "create" | "update" | "delete" }>;

export class NodeStore implements AsyncStore {
  readonly #store: AsyncStore;
  readonly #node: string | undefined;
  readonly #blocks: Blocks;
  readonly #followed: ReadonlyMap<Kind, Followed>;
  readonly #handles = new Map<string, StoredObject>();
  /** Other nodes' blocks that this agent wrote, by CIDR: they may have addresses of this node. */
  readonly borrowed = new Set<string>();
  /**
   * Updates the block in memory at once, so that no other request takes the same addresses; the promise is of the writes, with the handle, which must be
   * new, before the block. `undefined` if the block is not in memory. Absent in an agent
   * that serves many nodes.
   */
  readonly take: ((block: StoredObject, before: Before) => StoreReply | Promise<StoreReply> | undefined) | undefined;
  /** Reads in progress, which concurrent requests for the same object share. */
  readonly #reading = new Map<string, Promise<StoreReply>>();

  /**
   * `node`: the node whose blocks and affinities are followed; `undefined` for an agent that serves many nodes, which follows none. Calls `onTrouble`
   * if a kind cannot be followed, which costs reads, or if one of its objects is damaged. `adds`: how many ADDs are in progress.
   */
  constructor(
    datastore: AsyncDatastore,
    node: string | undefined,
    onTrouble: OnTrouble = () => {},
    adds: () => number = () => 0,
  ) {
    this.#store = datastore.store;
    this.#node = node;
    this.#blocks = new Blocks(this.#blockWriter(datastore), adds);
    this.take = node === undefined ? undefined : (block, before) => this.#blocks.update(block, before);
    const followed = everywhere.map((kind) => new Followed(kind, {}));
    if (node !== undefined) followed.push(new Followed("BlockAffinity", { node }));
    this.#followed = new Map(followed.map((one) => [one.kind, one]));
    for (const one of followed) follow(datastore, one, node, onTrouble);
    if (node !== undefined) followBlocks(datastore, this.#blocks, node, onTrouble);
  }

  /** Answers synchronously from memory if it can. */
  handle(request: StoreRequest): StoreReply | Promise<StoreReply> {
    switch (request.op) {
      case "read":
        return this.#read(request.key);
      case "list":
        return this.#list(request);
      case "create":
      case "update":
      case "delete":
        return this.#write(request);
      case "wait":
        // The first conflict is usually one with memory, which is up to date now.
        return request.attempt === 0
          ? { nothing: true }
          : this.#store.handle({ ...request, attempt: request.attempt - 1 });
      case "room":
        // The affinities in memory make hints unnecessary.
        return { nothing: true };
      default:
        return this.#store.handle(request);
    }
  }

  /** The node's blocks, as they are in memory; `undefined` while they are not known. */
  ownBlocks(): readonly StoredObject[] | undefined {
    return this.#node === undefined ? undefined : this.#blocks.all();
  }

  #blockWriter({ store, writeTogether }: AsyncDatastore): BlockWriter {
    const update = async (object: StoredObject) =>
      objectIn(await store.handle({ op: "update", key: keyOf(object), object }));
    return {
      ...(writeTogether === undefined && {
        create: async (object: StoredObject) => await this.#writeThrough({ op: "create", key: keyOf(object), object }),
      }),
      write: async (handles, block) => {
        if (writeTogether === undefined || handles.length === 0) return await update(block);
        // Without an answer, they may exist or not.
        for (const handle of handles) this.#handles.delete(nameOf(keyOf(handle)));
        const written = await writeTogether(handles, block);
        for (const handle of written?.created ?? []) this.#handles.set(nameOf(keyOf(handle)), handle);
        return written?.updated;
      },
      remove: async (object) => await store.handle({ op: "delete", key: keyOf(object), object }),
    };
  }

  /**
   * Whether a block of this node may have an address of the handle. Addresses that an earlier agent borrowed from other nodes' blocks do not count.
   */
  mayHold(handleId: string): boolean {
    if (this.#handles.has(handleName(handleId))) return true;
    const blocks = this.ownBlocks();
    return blocks?.some((block) => !isBlock(block) || ordinalsOfHandle(block.spec, handleId).length > 0) ?? true;
  }

  #read(key: Key): StoreReply | Promise<StoreReply> {
    const name = nameOf(key);
    const known = this.#known(key, name);
    if (known !== undefined) return { objects: [known] };
    if (this.#followed.get(key.kind)?.isMissing(name)) return { objects: [] };
    const id = `${key.kind}/${name}`;
    const reading = this.#reading.get(id) ?? this.#ask(key).finally(() => this.#reading.delete(id));
    this.#reading.set(id, reading);
    return reading;
  }

  #known(key: Key, name: string): StoredObject | undefined {
    if (key.kind === "IPAMBlock" && "cidr" in key) return this.#blocks.get(key.cidr);
    if (key.kind === "IPAMHandle") return this.#handles.get(name);
    return this.#followed.get(key.kind)?.get(name);
  }

  async #ask(key: Key): Promise<StoreReply> {
    const reply = await this.#store.handle({ op: "read", key });
    const object = objectIn(reply);
    if (object === undefined) return reply;
    if (key.kind === "IPAMBlock") this.#learnBlock(object);
    else this.#followed.get(key.kind)?.learn(object, false);
    return reply;
  }

  /** Ignores blocks of other nodes, which are not followed. */
  #learnBlock(block: StoredObject): void {
    if (this.#isOwn(block)) this.#blocks.learn(block, false);
  }

  #isOwn(block: StoredObject): boolean {
    return this.#node !== undefined && matches(block, { node: this.#node });
  }

  #list(request: Extract<StoreRequest, { op: "list" }>): StoreReply | Promise<StoreReply> {
    const followed = this.#followed.get(request.kind);
    if (followed === undefined || !followed.answers(request.filter)) return this.#store.handle(request);
    if (request.isWhole && followed.isDamaged) return this.#store.handle(request);
    return { objects: followed.list(request.filter) };
  }

  #write(request: WriteRequest): StoreReply | Promise<StoreReply> {
    if (request.key.kind === "IPAMBlock" && request.op === "update") {
      const done = this.#blocks.update(request.object);
      if (done !== undefined) return done;
    }
    return this.#writeThrough(request);
  }

  async #writeThrough(request: WriteRequest): Promise<StoreReply> {
    if (request.key.kind === "IPAMBlock" && request.op === "delete") {
      const removed = await this.#blocks.remove(request.object);
      if (removed !== undefined) return removed;
    }
    let reply: StoreReply | undefined;
    try {
      reply = await this.#store.handle(request);
      return reply;
    } finally {
      this.#note(request, reply);
    }
  }

  /** Without a reply, the write may or may not have taken effect. */
  #note({ op, key, object }: WriteRequest, reply: StoreReply | undefined): void {
    const name = nameOf(key);
    const written = op !== "delete" && reply !== undefined && "objects" in reply ? reply.objects[0] : undefined;
    if (key.kind === "IPAMHandle") {
      if (written === undefined) this.#handles.delete(name);
      else this.#handles.set(name, written);
      return;
    }
    if (key.kind === "IPAMBlock") {
      if (written !== undefined) this.#learnBlock(written);
      if (op !== "delete" && "cidr" in key && !this.#isOwn(object)) this.borrowed.add(key.cidr);
      return;
    }
    const followed = this.#followed.get(key.kind);
    if (written !== undefined) followed?.learn(written, true);
    else if (op === "delete" && reply !== undefined && "objects" in reply) followed?.forget(name);
    else followed?.doubt(name);
  }
}

function objectIn(reply: StoreReply): StoredObject | undefined {
  return "objects" in reply ? reply.objects[0] : undefined;
}

function follow(datastore: AsyncDatastore, followed: Followed, node: string | undefined, onTrouble: OnTrouble): void {
  const filter = followed.kind === "BlockAffinity" && node !== undefined ? { node } : {};
  datastore.follow(
    followed.kind,
    {
      all: (objects) => followed.onList(objects),
      set: (object) => followed.onSet(object),
      gone: (key) => followed.onGone(nameOf(key)),
      trouble: (error) => {
        if (error.kind === "datastore") followed.isDamaged = true;
        onTrouble(error);
      },
    },
    filter,
  );
}

function followBlocks(datastore: AsyncDatastore, blocks: Blocks, node: string, onTrouble: OnTrouble): void {
  datastore.follow(
    "IPAMBlock",
    {
      all: (objects) => blocks.learnAll(objects),
      set: (object) => blocks.learn(object, true),
      gone: (key) => {
        if ("cidr" in key) blocks.forget(key.cidr);
      },
      trouble: onTrouble,
    },
    { node },
  );
}
