/** The condition NetworkUnavailable of the Kubernetes Node: schedulers of cloud providers wait until it is false. */
import type { AsyncDatastore, NodeCondition } from "../../store/async-datastore.ts";
import { StoreError } from "../../store/store-error.ts";
import type { AgentLog } from "./start-node.ts";

const type = "NetworkUnavailable";
/** Calico's reasons. */
const up: NodeCondition = { type, status: "False", reason: "CalicoIsUp", message: "tortie-node runs on this node" };
const down: NodeCondition = {
  type,
  status: "True",
  reason: "CalicoIsDown",
  message: "tortie-node has ended on this node",
};

/** Without effect in etcd. A failure is logged only: pods have their network. */
export async function tellNetworkState(
  datastore: AsyncDatastore,
  { node, isUp, log }: { readonly node: string; readonly isUp: boolean; readonly log: AgentLog },
): Promise<void> {
  try {
    await datastore.setNodeCondition?.(node, isUp ? up : down);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    log.warn({ error: error.message }, "cannot set the condition NetworkUnavailable");
  }
}
