/** Conditions of a Node, which the kubelet and other programs write too: a strategic merge patch changes one of the list. */
import type { NodeCondition } from "../async-datastore.ts";
import type { About } from "../cluster/backend.ts";
import { StoreError } from "../store-error.ts";
import { type Api, conflict, missing } from "./api.ts";

export async function setNodeCondition(
  api: Api,
  node: string,
  condition: NodeCondition,
  timeoutMs: number,
): Promise<void> {
  const about: About = { action: "update", object: { kind: "Node", name: node } };
  const now = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  const body = { status: { conditions: [{ ...condition, lastHeartbeatTime: now, lastTransitionTime: now }] } };
  const path = `/api/v1/nodes/${encodeURIComponent(node)}/status`;
  const answer = await api.call({ method: "PATCH", path, body, timeoutMs, isStrategic: true }, about);
  if (answer === missing || answer === conflict) throw new StoreError({ ...about, reason: "there is no such Node" });
}
