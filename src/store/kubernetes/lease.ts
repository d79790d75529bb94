/**
 * A cluster's lease as Kubernetes' components have it: an object of coordination.k8s.io.
 *
 * **A lease of another has expired when it was not renewed for its duration by our own clock**: clocks of different nodes may differ.
 */
import type { Lease } from "../async-datastore.ts";
import { type About, Unanswered } from "../cluster/backend.ts";
import { type Api, conflict, missing } from "./api.ts";
import type { Raw } from "./resources.ts";

/** Where the agent's role may write it. */
const namespace = "kube-system";
const apiVersion = "coordination.k8s.io/v1";
const leases = `/apis/${apiVersion}/namespaces/${namespace}/leases`;

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly leaseTransitions?: number;
  readonly acquireTime?: string;
}

interface Seen {
  readonly revision: string | undefined;
  readonly atMs: number;
}

export function kubernetesLease(api: Api, name: string, timeoutMs: number): Lease {
  const about: About = { action: "hold", object: { kind: "Lease", name } };
  const path = `${leases}/${name}`;
  let seen: Seen | undefined;
  return {
    async hold(holder, seconds) {
      const found = await api.call<Raw>({ method: "GET", path, timeoutMs }, about);
      if (found === conflict)
        throw new Unanswered(about.action, about.object, "the API server answers a read with 409");
      if (found !== missing && !mayTake(found, holder)) return false;
      const body = {
        apiVersion,
        kind: "Lease",
        ...renewed(found === missing ? undefined : found, name, holder, seconds),
      };
      const call = found === missing ? ({ method: "POST", path: leases } as const) : ({ method: "PUT", path } as const);
      const written = await api.call<Raw>({ ...call, body, timeoutMs }, about);
      return written !== missing && written !== conflict;
    },
  };

  function mayTake({ metadata: { resourceVersion: revision }, spec }: Raw, holder: string): boolean {
    const { holderIdentity = "", leaseDurationSeconds = 0 } = (spec ?? {}) as LeaseSpec;
    if (holderIdentity === "" || holderIdentity === holder) return true;
    if (seen?.revision !== revision) seen = { revision, atMs: performance.now() };
    return performance.now() - (seen?.atMs ?? 0) > leaseDurationSeconds * 1000;
  }
}

function renewed(found: Raw | undefined, name: string, holder: string, seconds: number): Raw {
  const spec = (found?.spec ?? {}) as LeaseSpec;
  const now = new Date().toISOString().replace("Z", "000Z");
  const isOwn = spec.holderIdentity === holder;
  return {
    metadata: found?.metadata ?? { name, namespace },
    spec: {
      ...spec,
      holderIdentity: holder,
      leaseDurationSeconds: seconds,
      renewTime: now,
      acquireTime: isOwn ? (spec.acquireTime ?? now) : now,
      leaseTransitions: (spec.leaseTransitions ?? 0) + (found === undefined || isOwn ? 0 : 1),
    },
  };
}
