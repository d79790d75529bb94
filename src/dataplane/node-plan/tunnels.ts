/**
 * Tunnel devices. A VXLAN device that differs in anything but the MTU is deleted and created again: the kernel can change neither its
 * identifier nor its addresses.
 */
import { deleteLink, getLink, type Link, setLink } from "../../netlink/link.ts";
import type { Request } from "../../netlink/message.ts";
import { createIpip, createVxlan, readVxlan } from "../../netlink/tunnel.ts";
import type { Scope, TunnelLink, VxlanLink } from "../../plan/node-plan.ts";
import type { Outcome } from "../connection.ts";
import { ConflictError, hasErrno, KernelError, MissingError, MissingFeature } from "../errors.ts";
import { disableChecksumOffload } from "./offload.ts";
import type { Pass } from "./pass.ts";

function describeTunnel({ kind, name }: TunnelLink): string {
  return `${kind} link ${name}`;
}

/** Makes each of them as planned, and up. */
export function makeTunnels(tunnels: readonly TunnelLink[], pass: Pass): void {
  for (const tunnel of tunnels) {
    pass.attempt(describeTunnel(tunnel), tunnel, () => {
      if (isRight(tunnel, pass)) adjust(tunnel, pass.link(tunnel.name) as Link, pass);
      else create(tunnel, pass);
      if (tunnel.kind === "vxlan" && tunnel.checksumOffload === false) disableChecksumOffload(tunnel.name, pass);
    });
  }
}

/** Whether it exists as planned, apart from what can be changed. Throws `ConflictError` for a link of another kind. */
function isRight(tunnel: TunnelLink, pass: Pass): boolean {
  const found = pass.link(tunnel.name);
  if (tunnel.kind === "vxlan" && pass.link(tunnel.device) === undefined) {
    throw new MissingError(["create", describeTunnel(tunnel)], `there is no link ${tunnel.device}`);
  }
  if (found === undefined) return false;
  if (found.kind !== tunnel.kind) {
    const what = found.kind === undefined ? "is another device" : `is of kind ${found.kind}`;
    throw new ConflictError(["create", describeTunnel(tunnel)], `the link with this name ${what}`);
  }
  return tunnel.kind === "ipip" || isSameVxlan(tunnel, found, pass);
}

function isSameVxlan({ name, vni, port, local, device, mac }: VxlanLink, found: Link, pass: Pass): boolean {
  const reply = pass.replyOf(name);
  const has = reply && readVxlan(reply);
  return (
    has !== undefined &&
    !has.isExtended &&
    has.vni === vni &&
    has.port === port &&
    has.local === local &&
    has.deviceIndex === pass.indexOf(device) &&
    found.mac === mac
  );
}

function adjust(tunnel: TunnelLink, found: Link, pass: Pass): void {
  if (found.up && found.mtu === tunnel.mtu) return;
  const changes = { up: true, ...(found.mtu !== tunnel.mtu && { mtu: tunnel.mtu }) };
  finish(tunnel, pass.connection.exchange([setLink(found.index, changes), getLink(tunnel.name)]), pass);
}

function create(tunnel: TunnelLink, pass: Pass): void {
  const { name } = tunnel;
  const old = pass.link(name);
  if (old !== undefined) {
    const deleted = pass.connection.request(deleteLink(old.index));
    if (deleted.errno !== 0 && !hasErrno(deleted, "ENODEV")) {
      throw new KernelError(["replace", describeTunnel(tunnel)], deleted);
    }
    pass.forget(name);
  }
  const [created, ...rest] = pass.connection.exchange([
    creationOf(tunnel, pass),
    setLink(name, { up: true }),
    getLink(name),
  ]);
  if (created === undefined) return;
  // Loading the module makes the fallback device, and then it exists already.
  if (tunnel.kind === "ipip" && hasErrno(created, "EEXIST")) {
    const changes = setLink(name, { up: true, mtu: tunnel.mtu });
    finish(tunnel, pass.connection.exchange([changes, getLink(name)]), pass);
    return;
  }
  if (hasErrno(created, "EOPNOTSUPP")) {
    const reason = `the kernel has no links of kind ${tunnel.kind}`;
    throw new MissingFeature(["create", describeTunnel(tunnel)], {
      feature: tunnel.kind,
      module: tunnel.kind,
      reason,
    });
  }
  if (created.errno !== 0) throw new KernelError(["create", describeTunnel(tunnel)], created);
  finish(tunnel, rest, pass);
}

function creationOf(tunnel: TunnelLink, pass: Pass): Request {
  if (tunnel.kind === "ipip") return createIpip(tunnel.name, tunnel.mtu);
  const { vni, port, local } = tunnel;
  return createVxlan(tunnel, { vni, port, local, deviceIndex: pass.indexOf(tunnel.device) });
}

/** The outcomes of a change and of the question after it. */
function finish(tunnel: TunnelLink, [changed, looked]: readonly Outcome[], pass: Pass): void {
  if (looked !== undefined) pass.learn(tunnel.name, looked);
  if (changed !== undefined && changed.errno !== 0) {
    throw new KernelError(["set up", describeTunnel(tunnel)], changed);
  }
  pass.applied++;
}

const kinds: readonly (string | undefined)[] = ["vxlan", "ipip"] satisfies readonly TunnelLink["kind"][];

/** Removes the devices of scopes that no resource wants. */
export function removeDevices(scopes: readonly Scope[], wanted: ReadonlySet<string>, pass: Pass): void {
  for (const scope of scopes) {
    const found = scope.kind === "device" && !wanted.has(scope.name) ? pass.link(scope.name) : undefined;
    if (found === undefined || !kinds.includes(found.kind)) continue;
    // The fallback device of a module, which goes with the module alone, was set down by an earlier pass.
    if (found.kind === "ipip" && !found.up) continue;
    const what = `${found.kind} link ${found.name}`;
    pass.attempt(what, undefined, () => {
      // The kernel reports the deletion of a fallback device as success and keeps it (ip_tunnel_dellink, net/ipv4/ip_tunnel.c).
      const requests = [deleteLink(found.index), setLink(found.index, { up: false })];
      const [deleted] = pass.connection.exchange(found.kind === "ipip" ? requests : requests.slice(0, 1));
      if (deleted !== undefined && deleted.errno !== 0 && !hasErrno(deleted, "ENODEV")) {
        throw new KernelError(["delete", what], deleted);
      }
      pass.removed.push(what);
    });
  }
}
