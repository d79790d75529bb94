/**
 * Checks that every attachment is complete, or completely gone.
 *
 * **An attachment is alive while its sandbox is**: while the path in its record leads to a network namespace, or while its host interface
 * exists, which the kernel deletes together with its peer. Nothing of a live attachment is removed.
 *
 * **An attachment is dead only on evidence**: its sandbox's path was looked up in the right mount namespace and leads nowhere, and its host
 * interface is gone too. If the path cannot be looked up from here, the attachment is not checked.
 *
 * **Attachments that a plugin is working on are not checked**, nor those younger than the grace period: an ADD may be in progress.
 *
 *     sandbox   record   interface          finding
 *     alive     exists   exists, CHECK ok   (none)
 *     alive     exists   exists, CHECK not  attachment-different   repeat ADD
 *     alive     exists   missing            attachment-broken      repeat ADD, or DEL
 *     alive     missing  exists             record-missing         write the record
 *     alive     missing  missing            attachment-broken      repeat ADD, if a part has the request
 *     alive     foreign main plugin, and CHECK of ours not ok      repeat ADD of ours
 *     dead      any      missing            attachment-left        the DEL that never came
 *     unknown   any      missing            (a note)
 */
import { ownerPrefix } from "../../identity/names.ts";
import { describeNamespace, type Facts, globalAddresses } from "../node/facts.ts";
import type { Process } from "../node/processes.ts";
import { listed } from "../ui/listed.ts";
import type { Tools } from "./chain.ts";
import type { Difference } from "./difference.ts";
import { type Finding, type Section, subjectOfAttachment } from "./finding.ts";
import { quote } from "./plugin-call.ts";
import { repairByAdd, repairByDel } from "./repairing.ts";
import type { Trace } from "./sandboxes.ts";

export interface AttachmentContext {
  readonly node: string;
  readonly facts: Facts;
  readonly tools: Tools;
  /** The differences that CHECK found, by owner; absent for attachments that were not checked. */
  readonly checks: ReadonlyMap<string, readonly Difference[]>;
  readonly graceSeconds: number;
  /** Addresses of live attachments, with their owners. */
  readonly living: ReadonlyMap<string, string>;
}

/** Whether an ADD or a DEL of the attachment is running. */
export function isBusy({ attachment }: Trace, processes: readonly Process[]): boolean {
  return processes.some(
    ({ plugin }) =>
      plugin !== undefined &&
      (plugin.command === "ADD" || plugin.command === "DEL") &&
      plugin.containerId === attachment.containerId &&
      plugin.ifname === attachment.ifname,
  );
}

export function isAlive({ sandbox, link }: Trace): boolean {
  return sandbox === "there" || Boolean(link?.link_index);
}

/** Whether the attachment has objects, but its sandbox is not visible from here, so that it may be alive. */
export function isUnverifiable(trace: Trace, context: AttachmentContext): boolean {
  if (isAlive(trace)) return false;
  if (trace.sandbox !== undefined) return trace.sandbox === "unseen";
  return context.facts.hasUnseen && leftovers(trace, context).length > 0;
}

/** Whether it is alive in a sandbox that cannot be entered from here. */
export function isClosed(trace: Trace): boolean {
  return isAlive(trace) && sandboxPath(trace) === undefined;
}

/** `default/web-0 eth0`, `container "c1" eth0`. */
export function nameOfTrace({ attachment, pod }: Trace): string {
  const who = pod === undefined ? `container "${attachment.containerId}"` : `${pod.namespace}/${pod.name}`;
  return `${who} ${attachment.ifname}`;
}

/** `network/container/interface`. */
export function subjectOf({ attachment }: Trace): string {
  return subjectOfAttachment(attachment);
}

/** The path by which the sandbox can be entered. */
export function sandboxPath({ path, sandbox, peer }: Trace): string | undefined {
  return sandbox === "there" ? path : peer?.namespace.path;
}

export function checkAttachment(trace: Trace, context: AttachmentContext): readonly Finding[] {
  if (isBusy(trace, context.facts.processes) || isUnverifiable(trace, context)) return [];
  if (trace.record?.fault !== undefined) return checkDamagedRecord(trace, trace.record.fault, context);
  if (!isAlive(trace)) return checkDead(trace, context);
  if (trace.record === undefined && trace.link !== undefined) return checkUnrecorded(trace, context);
  if (trace.ageSeconds < context.graceSeconds) return [];
  if (trace.record === undefined) return [...checkUnmade(trace, context), ...checkDifferences(trace, context)];
  return trace.link?.ifalias === trace.owner ? checkWhole(trace, context) : checkBroken(trace, context);
}

function finding(id: string, trace: Trace, text: string, rest: Pick<Finding, "remedy" | "fix">): Finding {
  const subject = subjectOf(trace);
  return { id, section: "attachments", severity: "error", subject, text: `(${nameOfTrace(trace)}) ${text}`, ...rest };
}

function checkDamagedRecord(trace: Trace, fault: string, context: AttachmentContext): readonly Finding[] {
  const { tools } = context;
  const text = `has a record that cannot be read: ${fault}`;
  const rewritten = trace.peer === undefined ? undefined : rewriteRecord(trace, context);
  if (rewritten !== undefined) return [finding("record-damaged", trace, text, rewritten)];
  if (isAlive(trace)) return [];
  return [finding("record-damaged", trace, text, repairByDel(trace, tools))];
}

function checkDead(trace: Trace, context: AttachmentContext): readonly Finding[] {
  const { record, allocations } = trace;
  const what = leftovers(trace, context);
  if (what.length === 0) return [];
  if (trace.ageSeconds < context.graceSeconds) return [];
  // An ADD starts by assigning addresses.
  if (record === undefined && allocations.some(({ state }) => state === "unchecked")) return [];
  const netns = record?.endpoint?.netns ?? trace.parts[0]?.netns;
  const why = netns === undefined ? "its sandbox is not known" : `its sandbox "${netns}" is gone`;
  const text = `has left ${listed(what)}, and ${why}: its DEL never ran, or was killed`;
  const elsewhere = trace.link === undefined ? allocations.find(({ state }) => state === "in use") : undefined;
  if (record === undefined || elsewhere === undefined) {
    return [finding("attachment-left", trace, text, repairByDel(trace, context.tools))];
  }
  const { address, reason } = elsewhere;
  const remedy = `# find out who uses ${address}: ${reason}; if released, it could be assigned to another pod`;
  return [finding("attachment-left", trace, text, { remedy })];
}

/** The leftovers of a dead attachment. */
function leftovers(trace: Trace, { living, facts }: AttachmentContext): readonly string[] {
  const seen = new Set(facts.seen.map(({ address }) => address));
  // A foreign main plugin keeps no record: an address with a port mapping counts as in use while its container is seen.
  const isLost = (target: string | undefined) => {
    if (target === undefined || trace.sandbox !== undefined || trace.link !== undefined) return true;
    return !seen.has(target) || (living.get(target) ?? trace.owner) !== trace.owner;
  };
  const leaked = trace.allocations.filter(({ state }) => state !== "in use" || trace.record !== undefined);
  return [
    ...(trace.record === undefined && trace.parts.length === 0 ? [] : ["its record"]),
    ...(trace.link === undefined ? [] : [`host interface ${trace.link.ifname}`]),
    ...leaked.map(({ address }) => `address ${address}`),
    ...trace.ports.filter(({ target }) => isLost(target)).map(({ text }) => `host port ${text}`),
    ...trace.chains.filter(({ targets }) => targets.every(isLost)).map(({ chain }) => `iptables chain ${chain}`),
    ...(trace.ifb === undefined || trace.ifb.servedTo.length > 0 ? [] : [`ifb ${trace.ifb.name}`]),
  ];
}

function checkUnrecorded(trace: Trace, context: AttachmentContext): readonly Finding[] {
  const { link, peer } = trace;
  if (link === undefined || peer === undefined) return [];
  const text =
    `has host interface ${link.ifname}, whose other end is ${peer.ifname} in ${describeNamespace(peer.namespace)}, ` +
    "and no record: DEL has to search for it, and GC and CHECK do not know it";
  return [finding("record-missing", trace, text, rewriteRecord(trace, context) ?? repairByDel(trace, context.tools))];
}

/** `undefined` if the peer has no address. */
function rewriteRecord(trace: Trace, { node, facts }: AttachmentContext): Pick<Finding, "remedy" | "fix"> | undefined {
  const { attachment, pod, link, peer } = trace;
  const end = peer?.namespace.interfaces.find(({ ifname }) => ifname === peer.ifname);
  if (link === undefined || peer === undefined || end === undefined) return undefined;
  const addresses = globalAddresses(end).map(({ address }) => `${address}/${address.includes(":") ? 128 : 32}`);
  const netns = peer.namespace.path;
  const { ifname: hostInterface } = link;
  const origin = facts.sight.here;
  const mac = end.address ?? "";
  const endpoint = { attachment, node, pod, hostInterface, mac, addresses, netns, ...(origin && { origin }) };
  return {
    remedy: "tortie doctor --fix   # writes the record from the properties of the interface",
    fix: { kind: "record", endpoint },
  };
}

function checkBroken(trace: Trace, context: AttachmentContext): readonly Finding[] {
  const { record, link, conflictingOwner } = trace;
  const { tools, facts } = context;
  const endpoint = record?.endpoint;
  if (endpoint === undefined) return [];
  const broken = (text: string, rest: Pick<Finding, "remedy" | "fix">) =>
    finding("attachment-broken", trace, text, rest);
  if (conflictingOwner !== undefined) {
    const whose = conflictingOwner.startsWith(ownerPrefix)
      ? conflictingOwner.slice(ownerPrefix.length)
      : `"${conflictingOwner}"`;
    const text = `has lost its host interface ${endpoint.hostInterface} to ${whose}: no rule or interface serves it any more`;
    return [broken(text, repairByDel(trace, tools))];
  }
  const held = facts.namespaces.find(({ interfaces }) =>
    interfaces
      .flatMap((one) => globalAddresses(one))
      .some(({ address }) => endpoint.addresses.some((own) => own.startsWith(`${address}/`))),
  );
  const text =
    link === undefined
      ? `has no host interface ${endpoint.hostInterface}: its pod has no network`
      : `has a host interface ${link.ifname} without an owner: its ADD was killed`;
  const netns = sandboxPath(trace);
  const again = netns === undefined ? undefined : repairByAdd(trace, netns, tools, "all");
  if (again !== undefined) return [broken(text, again)];
  // The peer is alive, and cannot be repaired from here.
  if (isClosed(trace)) return [];
  if (held === undefined) return [broken(text, repairByDel(trace, tools))];
  const where = describeNamespace(held);
  return [
    broken(`${text}, yet its address is on an interface in ${where}`, {
      remedy: `# look what ${where} is attached to; then let the runtime recreate the pod`,
    }),
  ];
}

function checkWhole(trace: Trace, context: AttachmentContext): readonly Finding[] {
  const { sandbox, peer } = trace;
  if (sandbox === "gone" && (peer === undefined || peer.namespace.holder !== undefined)) return [checkAssigned(trace)];
  return checkDifferences(trace, context);
}

/** An ADD was killed before it created anything, or the record and the interface were removed. */
function checkUnmade(trace: Trace, { tools }: AttachmentContext): readonly Finding[] {
  const netns = sandboxPath(trace);
  if (netns === undefined || !trace.parts.some(({ type }) => type === "calico")) return [];
  const again = repairByAdd(trace, netns, tools, "all");
  const text = "has neither a host interface nor an endpoint record: its pod has no network";
  return again === undefined ? [] : [finding("attachment-broken", trace, text, again)];
}

/** The differences that the CHECK of each plugin of the chain found. */
function checkDifferences(trace: Trace, { checks, tools }: AttachmentContext): readonly Finding[] {
  const netns = sandboxPath(trace);
  return (checks.get(trace.owner) ?? []).map(({ plugin, found: differences }) => {
    const again = netns === undefined ? undefined : repairByAdd(trace, netns, tools, [plugin]);
    const remedy = `# let the runtime recreate the pod: network ${quote(trace.attachment.network)} is no longer configured`;
    const { id, section, made } = work[plugin] ?? {
      id: "plugin-different",
      section: "attachments",
      made: `differs from what plugin "${plugin}" made it`,
    };
    const texts = differences.map(({ text }) => text).join("; ");
    const found = finding(id, trace, `${made}: ${texts}`, again ?? { remedy });
    return { ...found, section, subject: id === "plugin-different" ? `${found.subject} ${plugin}` : found.subject };
  });
}

/** How each plugin's objects are reported. */
const work: Readonly<Record<string, { readonly id: string; readonly section: Section; readonly made: string }>> = {
  calico: { id: "attachment-different", section: "attachments", made: "differs from what ADD created" },
  bandwidth: { id: "limits-different", section: "limits", made: "has rate limits that differ from those requested" },
  portmap: { id: "host-ports-different", section: "firewall", made: "has host ports that differ from those requested" },
};

/** The section of the report for a plugin's objects. */
export function sectionOfWork(plugin: string): Section {
  return work[plugin]?.section ?? "attachments";
}

/** The path is gone, but the namespace still exists. */
function checkAssigned(trace: Trace): Finding {
  const { record, peer } = trace;
  const holder = peer?.namespace.holder;
  const lost = `no longer has its sandbox's path "${record?.endpoint?.netns}", and`;
  const warn = (text: string, remedy: string): Finding => ({
    ...finding("sandbox-without-path", trace, `${lost} ${text}: the runtime may have lost track of it`, { remedy }),
    severity: "warning",
  });
  if (holder === undefined) {
    return warn(
      "an open file or a mount elsewhere keeps it alive",
      "lsns --type net   # and stop that process, if the runtime no longer knows the pod",
    );
  }
  return warn(
    `process ${holder.pid} (${holder.name}) is still in it`,
    `kill ${holder.pid}   # if the runtime no longer knows the pod; then tortie doctor --fix removes the rest`,
  );
}
