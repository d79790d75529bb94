/** Handles an existing link with the name of a planned one, for all link drivers. */
import { type Link, setLink } from "../../netlink/link.ts";
import type { Place } from "../../plan/resource.ts";
import type { ApplyRun } from "../apply-run.ts";
import { ConflictError, KernelError } from "../errors.ts";
import { placeText } from "../namespaces.ts";

/** Only a link with an owner can be an outdated one of ours. */
export function mayDelete({ alias }: Link, { plan, options }: ApplyRun): boolean {
  return alias !== undefined && (alias === plan.owner || options.mayReplace?.(alias) === true);
}

/** The error that names the owner of an existing link. */
export function nameConflict(described: string, found: Link): ConflictError {
  const whose = found.alias === undefined ? "and has no known owner" : `and belongs to "${found.alias}"`;
  return new ConflictError(["create", described], `link "${found.name}" exists ${whose}`, found.alias);
}

/** Updates a link of ours where it differs from the plan. */
export function updateLink(
  run: ApplyRun,
  place: Place,
  found: Link,
  wanted: {
    readonly mac?: string | undefined;
    readonly mtu?: number | undefined;
    readonly txQueueLength?: number | undefined;
  },
): void {
  const changes = {
    mac: wanted.mac === found.mac ? undefined : wanted.mac,
    mtu: !wanted.mtu || wanted.mtu === found.mtu ? undefined : wanted.mtu,
    txQueueLength: wanted.txQueueLength === found.txQueueLength ? undefined : wanted.txQueueLength,
  };
  run.learn(place, found);
  if (Object.values(changes).every((change) => change === undefined)) return;
  const outcome = run.namespaces.connection(place).request(setLink(found.index, changes));
  if (outcome.errno !== 0) throw new KernelError(["change", `link "${found.name}"${placeText(place)}`], outcome);
}
