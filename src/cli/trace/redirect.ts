/** What leads a packet elsewhere than to the address that it names: host ports and floating IPs, which the node translates before it looks up the route. */

import { networkEndpointOf } from "../../cluster-network/network-endpoint.ts";
import { agentTables } from "../../identity/names.ts";
import { tableFamilyOf } from "../../net/address.ts";
import { list, type Transaction } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { gatherFirewall, readTable } from "../doctor/firewall.ts";
import { mappedPorts } from "../doctor/host-processes.ts";
import type { Holder, Redirect } from "./facts.ts";
import { reasonOf } from "./kernel-tables.ts";
import type { Aim } from "./resolve.ts";

/** By floating IP: what the datastore says of it. */
export type FloatingIps = ReadonlyMap<string, Holder>;

export function* readFloatingIps(): Transaction<FloatingIps> {
  const found = new Map<string, Holder>();
  for (const object of yield* list("WorkloadEndpoint")) {
    const { node } = (object.spec ?? {}) as { readonly node?: unknown };
    if (typeof node !== "string") continue;
    const { name: pod, nats = [] } = networkEndpointOf(object, node) ?? {};
    for (const { external } of nats) found.set(external, { pod, node });
  }
  return found;
}

/** `undefined`: nothing may. `own`: the addresses of this node. */
export async function redirectOf(
  cli: Cli,
  aim: Aim,
  own: readonly string[],
  floatingIps: FloatingIps,
): Promise<Redirect | undefined> {
  const { word, address, port } = aim;
  const floating = await floatingTo(cli, address);
  const holder = floatingIps.get(address);
  if (floating !== undefined || holder !== undefined)
    return { what: "floating IP", asked: address, address, to: undefined, ...floating, ...(holder && { holder }) };
  if (port === undefined || !own.includes(address)) return undefined;
  return { what: "host port", asked: word, address, ...(await hostPortTo(cli, { ...aim, port })) };
}

type Destination = Pick<Redirect, "to" | "unread">;

/** `undefined`: the address is no floating IP of this node. */
async function floatingTo(cli: Cli, address: string): Promise<Destination | undefined> {
  try {
    const [table] = await readTable(cli, tableFamilyOf(address), agentTables.floating);
    return table?.elements.flatMap(({ set, key, target }) =>
      set === "floating" && key === address ? [{ to: target }] : [],
    )[0];
  } catch {
    // Without nft, the rules of the firewall are reported as not read.
    return undefined;
  }
}

/** A mapping of one address of the node goes before one of all. */
async function hostPortTo(
  cli: Cli,
  { address, port }: Aim & { readonly port: NonNullable<Aim["port"]> },
): Promise<Destination> {
  try {
    const firewall = await gatherFirewall(cli);
    const family = tableFamilyOf(address);
    const fitting = mappedPorts(firewall).filter(
      (one) =>
        one.family === family &&
        one.protocol === port.protocol &&
        one.port === port.number &&
        (one.hostIp ?? address) === address,
    );
    const found = fitting.find(({ hostIp }) => hostIp !== undefined) ?? fitting[0];
    const fault = firewall.nftFault;
    return { to: found?.target, ...(found === undefined && fault !== undefined && { unread: fault }) };
  } catch (error) {
    return { to: undefined, unread: reasonOf(error) };
  }
}
