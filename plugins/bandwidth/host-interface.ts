/** Finds the interface to limit: the host interface whose peer is the container's interface. */
import { CniError, code } from "../../src/cni/error.ts";
import type { Result } from "../../src/cni/result.ts";
import type { NodeFacts } from "../../src/dataplane/node-facts.ts";

/**
 * Asks the kernel for the peer and checks it against the previous result, as the reference plugin does, because a chain may create several
 * interfaces. Throws `CniError` 100 with the reason.
 */
export function hostInterfaceOf(
  facts: NodeFacts,
  ifname: string,
  prevResult: Result,
): { readonly name: string; readonly mtu: number } {
  const refuse = (reason: string) => new CniError(code.refused, `cannot limit interface "${ifname}": ${reason}`);
  const onHost = (prevResult.interfaces ?? []).filter(({ sandbox }) => !sandbox).map(({ name }) => name);
  if (prevResult.interfaces === undefined || prevResult.interfaces.length === 0)
    throw refuse("no interfaces provided in prevResult");
  const ends = facts.vethEnds(ifname);
  if (ends === undefined) throw refuse("it is not in the sandbox");
  if (ends.sandbox.kind !== "veth") throw refuse(`it has no veth peer; its kind is "${ends.sandbox.kind ?? "device"}"`);
  if (ends.host === undefined) throw refuse("its veth peer is not in the host's namespace");
  if (!onHost.includes(ends.host.name)) {
    throw refuse(
      `its veth peer "${ends.host.name}" is not among the host's interfaces in prevResult: ${JSON.stringify(onHost)}`,
    );
  }
  return { name: ends.host.name, mtu: ends.host.mtu };
}
