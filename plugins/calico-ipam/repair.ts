/** Damaged objects that an operation meets are set aside and rebuilt on the spot, under the same lock, and the operation starts again. */
import { listEndpoints } from "../../src/endpoint/endpoint.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type KnownUse, rebuild } from "../../src/ipam/check/rebuild.ts";
import { handleIdOf } from "../../src/ipam/model/handle.ts";
import { addressOf } from "../../src/net/prefix.ts";
import type { Context } from "../../src/plugin/plugin.ts";
import { DamagedError } from "../../src/store/damage.ts";
import { drive, type Store, type Transaction } from "../../src/store/transaction.ts";

/** Runs a transaction; each damaged object is rebuilt once, and what cannot be is thrown. `now`: nanoseconds since the epoch. */
export function driveRepairing<T>(
  context: Context,
  transaction: () => Transaction<T>,
  store: Store,
  now: () => bigint,
): T {
  const rebuilt = new Set<string>();
  for (;;) {
    try {
      return drive(transaction(), store);
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      const { kind, name } = error.object;
      if (rebuilt.has(`${kind} ${name}`)) throw error;
      rebuilt.add(`${kind} ${name}`);
      if (!repair(context, error, store, now())) throw error;
    }
  }
}

/** Whether it could be rebuilt. */
function repair({ sys, log }: Context, { object, message }: DamagedError, store: Store, now: bigint): boolean {
  const done = drive(rebuild(object, knownUses(sys), now), store);
  if (done !== undefined) log.warning("damaged object rebuilt", () => ({ error: message, done }));
  return done !== undefined;
}

function knownUses(sys: Sys): readonly KnownUse[] {
  return listEndpoints(sys).flatMap(({ attachment, node, pod, addresses }) =>
    addresses.map((address) => ({
      address: addressOf(address),
      handleId: handleIdOf(attachment),
      attributes: {
        interface: attachment.ifname,
        ...(pod !== undefined && { namespace: pod.namespace }),
        node,
        ...(pod !== undefined && { pod: pod.name }),
      },
    })),
  );
}
