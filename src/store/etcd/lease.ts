/**
 * A cluster's lease in etcd: a key that disappears with a lease of etcd's.
 *
 *     /calico/tortie/leases/<name>     its holder; beside Calico's keys, where users of etcd may write
 *
 * It is renewed by writing the key with a new lease of etcd's; the former one expires without a key.
 */
import type { Lease } from "../async-datastore.ts";
import type { About } from "../cluster/backend.ts";
import type { EtcdClient } from "./client.ts";
import type { KeyValue, LeaseGrantResponse, RangeResponse, TxnResponse } from "./protocol.ts";

const prefix = "/calico/tortie/leases/";

export function etcdLease(client: EtcdClient, name: string, timeoutMs: number): Lease {
  const key = Buffer.from(prefix + name);
  const about: About = { action: "hold", object: { kind: "Lease", name } };
  return {
    async hold(holder, seconds) {
      const { kvs } = await client.call<RangeResponse>("Range", { key }, about, timeoutMs);
      const found = kvs[0];
      if (found !== undefined && found.value.toString() !== holder) return false;
      const granted = await client.call<LeaseGrantResponse>("LeaseGrant", { TTL: String(seconds) }, about, timeoutMs);
      const put = { key, value: Buffer.from(holder), lease: granted.ID };
      const request = { compare: [unchanged(key, found)], success: [{ requestPut: put }] };
      return (await client.call<TxnResponse>("Txn", request, about, timeoutMs)).succeeded;
    },
  };
}

function unchanged(key: Buffer, found: KeyValue | undefined): object {
  const common = { result: "EQUAL", key };
  if (found === undefined) return { ...common, target: "VERSION", version: "0" };
  return { ...common, target: "MOD", modRevision: found.modRevision };
}
