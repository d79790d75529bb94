/** Sentences that several checks need. */
import type { ReachPod } from "./facts.ts";

const maxNamed = 2;

/** `default/web-0 eth0 (10.0.0.5), default/web-1 eth0 (10.0.0.6) and 3 more`. */
export function namesOf(pods: readonly ReachPod[]): string {
  const more = pods.length - maxNamed;
  const named = pods.slice(0, maxNamed).map(({ name, address }) => `${name} (${address})`);
  return `${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** `1 address of a pod is cut off: …` */
export function describeCutOff(pods: readonly ReachPod[]): string {
  const what = pods.length === 1 ? "1 address of a pod is" : `${pods.length} addresses of pods are`;
  return `${what} cut off: ${namesOf(pods)}`;
}

/** `docker, ufw and firewalld`. */
export function listOf(names: readonly string[]): string {
  return [names.slice(0, -1).join(", "), ...names.slice(-1)].filter((part) => part !== "").join(" and ");
}
