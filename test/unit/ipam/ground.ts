/** The stores that the contract of datastores is tested on. */
import { fileStore } from "../../../src/store/file/store.ts";
import type { StoredObject } from "../../../src/store/object.ts";
import { StoreError } from "../../../src/store/store-error.ts";
import {
  type AsyncStore,
  drive,
  driveAsync,
  list,
  type Store,
  type StoreRequest,
} from "../../../src/store/transaction.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";
import { Killed, type MemoryStore, memoryStore } from "./memory-store.ts";
import type { Ground } from "./walk.ts";

/** The write took effect, but its caller never learns that. */
export class AnswerLost extends StoreError {
  constructor(request: StoreRequest) {
    super({ action: request.op, object: { kind: "any", name: "" }, reason: "no answer" });
  }
}

const isWrite = ({ op }: StoreRequest) => op === "create" || op === "update" || op === "delete";

/** In memory, with or without hints; a process is killed at a write. */
export function memoryGround(hints: boolean): Ground {
  const store = memoryStore({ hints });
  return { ...onMemory(store), run: async (transaction) => drive(transaction(), store) };
}

/** In memory, and each answer comes later. */
export function asyncGround(): Ground {
  const store = memoryStore({ hints: false });
  const later: AsyncStore = {
    async handle(request) {
      await new Promise((resolve) => setImmediate(resolve));
      return store.handle(request);
    },
  };
  return { ...onMemory(store), run: (transaction) => driveAsync(transaction(), later) };
}

/** In memory, and the answer to one write is lost. */
export function lossyGround(): Ground {
  const store = memoryStore({ hints: false });
  let left: number | undefined;
  const lossy: Store = {
    handle(request) {
      const reply = store.handle(request);
      if (!isWrite(request) || left === undefined || left-- > 0) return reply;
      left = undefined;
      throw new AnswerLost(request);
    },
  };
  return {
    ...onMemory(store),
    trouble(at) {
      left = at;
    },
    run: async (transaction) => drive(transaction(), lossy),
  };
}

function onMemory(store: MemoryStore): Omit<Ground, "run"> {
  return {
    all: store.all,
    put: store.put,
    trouble(at) {
      store.restart();
      if (at !== undefined) store.beforeWrite = killingAt(at);
    },
  };
}

function killingAt(at: number): (index: number) => void {
  return (index) => {
    if (index === at) throw new Killed();
  };
}

/** Files, on the unit tests' model of a machine; a process is killed at a write. */
export function fileGround(): Ground {
  const sys = new FakeSys({ machine: new FakeMachine() });
  const store = fileStore(sys);
  let killedAt = Number.POSITIVE_INFINITY;
  let writes = 0;
  const dying = <A extends readonly unknown[], T>(write: (...args: A) => T) => {
    return (...args: A): T => {
      // From that write on, nothing is written.
      if (writes++ >= killedAt) throw new Killed();
      return write(...args);
    };
  };
  sys.createFile = dying(sys.createFile.bind(sys));
  sys.replaceFile = dying(sys.replaceFile.bind(sys));
  sys.removeFile = dying(sys.removeFile.bind(sys));
  return {
    async run(transaction) {
      try {
        const result = drive(transaction(), store);
        if (writes <= killedAt) return result;
      } catch (error) {
        if (writes <= killedAt) throw error;
      }
      // However it handled the errors: the process is dead.
      throw new Killed();
    },
    trouble(at = Number.POSITIVE_INFINITY) {
      writes = 0;
      killedAt = at;
    },
    all: <Spec>(kind: StoredObject["kind"]) => drive(list(kind), store) as readonly StoredObject<Spec>[],
    put(kind, name, spec) {
      store.handle({
        op: "create",
        key: { kind, name },
        object: { apiVersion: "v1", kind, metadata: { name }, spec },
      });
    },
  };
}
