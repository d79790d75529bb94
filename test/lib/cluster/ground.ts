/** A real datastore of a cluster as ground for random walks: processes are killed before a write, or do not learn that it succeeded. */
import { expect } from "vitest";
import type { BlockSpec } from "../../../src/ipam/model/block.ts";
import { blockFault } from "../../../src/ipam/model/block-fault.ts";
import type { AsyncDatastore } from "../../../src/store/async-datastore.ts";
import type { Kind, StoredObject } from "../../../src/store/object.ts";
import { type AsyncStore, driveAsync, list } from "../../../src/store/transaction.ts";
import { AnswerLost } from "../../unit/ipam/ground.ts";
import { Killed } from "../../unit/ipam/memory-store.ts";
import type { Ground } from "../../unit/ipam/walk.ts";

export function clusterGround({ store }: AsyncDatastore): Ground {
  let left: number | undefined;
  let losesAnswer = false;
  let isDead = false;
  const troubled: AsyncStore = {
    async handle(request) {
      if (isDead) throw new Killed();
      const isWrite = request.op === "create" || request.op === "update" || request.op === "delete";
      if (!isWrite || left === undefined || left-- > 0) return await store.handle(request);
      left = undefined;
      isDead = !losesAnswer;
      if (isDead) throw new Killed();
      await store.handle(request);
      throw new AnswerLost(request);
    },
  };
  return {
    async run(transaction) {
      try {
        return await driveAsync(transaction(), troubled);
      } finally {
        // However it handled the errors: the process is dead.
        if (isDead) killed();
      }
    },
    trouble(at) {
      left = at;
      losesAnswer = at !== undefined && at % 2 === 1;
      isDead = false;
    },
    async all<Spec>(kind: Kind) {
      const objects = await driveAsync(list(kind), store);
      if (kind === "IPAMBlock") for (const { spec } of objects) expect(blockFault(spec as BlockSpec)).toBeUndefined();
      return objects as readonly StoredObject<Spec>[];
    },
    async put(kind, name, spec) {
      await store.handle({
        op: "create",
        key: { kind, name },
        object: { apiVersion: "", kind, metadata: { name }, spec },
      });
    },
  };
}

function killed(): never {
  throw new Killed();
}
