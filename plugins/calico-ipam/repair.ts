/** Repairs a damaged object that an operation meets; the operation then restarts. */
import { listEndpoints } from "../../src/endpoint/endpoint.ts";
import { nowNs } from "../../src/host/clock.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type KnownUse, repairObject } from "../../src/ipam/check/repair-object.ts";
import { handleIdOf } from "../../src/ipam/model/handle.ts";
import { addressOf } from "../../src/net/prefix.ts";
import type { Context } from "../../src/plugin/plugin.ts";
import type { DamagedError } from "../../src/store/damage.ts";
import type { Transaction } from "../../src/store/transaction.ts";

/** Returns whether the object was repaired. */
export function* repair({ sys, log }: Context, { object, message }: DamagedError): Transaction<boolean> {
  const done = yield* repairObject(object, knownUses(sys), nowNs(sys));
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
