/**
 * The iptables back end: the reference plugin's chains and rules (`iptables-rules.ts`), as resources of a plan.
 *
 * The executor reads the tables and changes them in two steps, so our own operations take turns by a lock.
 */

import { CniError, code } from "../../src/cni/error.ts";
import { IptablesConflict } from "../../src/dataplane/errors.ts";
import { Executor, unowned } from "../../src/dataplane/executor.ts";
import { NodeFacts } from "../../src/dataplane/node-facts.ts";
import { CoreError } from "../../src/errors/core-error.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type Attachment, ownerOf } from "../../src/identity/attachment.ts";
import { type TableFamily, tableFamilies } from "../../src/net/address.ts";
import { takeLock } from "../../src/store/file/lock.ts";
import { type Backend, describeAttachment, type PortRequest } from "./backend.ts";
import { describeHostPort, type Mapping, type PortmapConf } from "./conf.ts";
import { formerPorts } from "./former-ports.ts";
import { layout, ownChainOf, rulesOf } from "./iptables-rules.ts";
import { attachmentOfRule, iptablesLock, portmapCommentPrefix } from "./names.ts";
import type { Target } from "./target.ts";

export const iptables: Backend = {
  plan: ({ attachment, conf, targets }) => targets.map((target) => rulesOf(attachment, conf, target)),

  add(wanted, more, sys) {
    const plan = { owner: ownerOf(wanted.attachment), resources: [...iptables.plan(wanted), ...more] };
    const applied = withConflictMessage(() =>
      locked(sys, () => new Executor(sys).apply(plan, { portHolders: holdersFor(wanted) })),
    );
    return { former: formerPorts(applied.madeRoom), takeBack: () => locked(sys, () => applied.undo()) };
  },

  settle(wanted, sys) {
    const ports = wanted.targets.map((target) => rulesOf(wanted.attachment, wanted.conf, target));
    const what = { kind: "ended-ports", ports, holders: holdersFor(wanted) } as const;
    return formerPorts(withConflictMessage(() => locked(sys, () => new Executor(sys).remove(unowned, [what]))));
  },

  check: (wanted, sys) =>
    new Executor(sys).diff({ owner: ownerOf(wanted.attachment), resources: iptables.plan(wanted) }),

  del: (attachment, among, sys) =>
    formerPorts(new Executor(sys).remove(ownerOf(attachment), [removalOfChain(attachment, among)])),

  mayHold(attachment, sys) {
    const chain = ownChainOf(attachment);
    return tableFamilies.some((family) => new NodeFacts(sys).mayHaveNatChain(family, chain));
  },

  status(conf, { sys, log }) {
    const facts = new NodeFacts(sys);
    const usable = tableFamilies.filter((family) => facts.hasIptables(family));
    if (usable.length === 0) {
      throw new CniError(
        code.refused,
        "cannot use iptables: neither iptables nor ip6tables is installed; install iptables",
      );
    }
    for (const family of usable) {
      try {
        facts.probe(rulesOf(example, withPorts(conf), examples[family]));
      } catch (error) {
        if (family === "ip" || !(error instanceof CoreError)) throw error;
        log.warning("IPv6 is not available", () => ({ error: error.message }));
      }
    }
  },
};

/** The attachments' own chains, as `Owned` wants them. */
export const ownChains = {
  removalOf: (attachment: Attachment) => removalOfChain(attachment, tableFamilies),
  staleOf(network: string, valid: readonly Attachment[]) {
    const kept = new Set(valid.map(ownChainOf));
    const prefix = portmapCommentPrefix(network);
    const isStale = (entry: string, chain: string) => entry.includes(prefix) && !kept.has(chain);
    return { kind: "iptables-ports", layout, isStale, locked } as const;
  },
};

function removalOfChain(attachment: Attachment, families: readonly TableFamily[]) {
  const [chain, isForeign] = [ownChainOf(attachment), foreignTo(attachment)];
  return { kind: "iptables-ports", layout, families, chain, isForeign, locked } as const;
}

/** A placeholder for STATUS, which has no attachment. */
const example: Attachment = { network: "status", containerId: "status", ifname: "eth0" };
const examples: { readonly [family in Target["family"]]: Target } = {
  ip: { family: "ip", address: "192.0.2.1", subnet: "192.0.2.0/24" },
  ip6: { family: "ip6", address: "2001:db8::1", subnet: "2001:db8::/64" },
};

/** Every extension that an ADD may need. */
function withPorts(conf: PortmapConf): PortmapConf {
  const port = { hostPort: 1, containerPort: 1, hostIp: undefined, families: tableFamilies };
  return { ...conf, mappings: (["tcp", "udp"] as const).map((protocol) => ({ ...port, protocol })) };
}

/** If the same container has the port in another network, the first rule wins. */
export function holdersFor({ attachment, hasEnded }: Pick<PortRequest, "attachment" | "hasEnded">) {
  return {
    isForeign: foreignTo(attachment),
    stateOf({ entry, address }: { readonly entry: string | undefined; readonly address: string }) {
      const holder = attachmentOfRule(entry ?? "");
      if (holder !== undefined && hasEnded(holder, address)) return "ended";
      return holder?.containerId === attachment.containerId ? "shares" : "has it";
    },
  } as const;
}

/**
 * Whether a chain with an attachment's name belongs to another attachment. The reference plugin digests network and container ID without a
 * separator, so two attachments may get the same name.
 */
export function foreignTo({ network, containerId }: Attachment): (entry: string) => boolean {
  return (entry) => {
    const holder = attachmentOfRule(entry);
    return holder !== undefined && (holder.network !== network || holder.containerId !== containerId);
  };
}

/** Turns an `IptablesConflict` into the `CniError` that the runtime gets. */
export function withConflictMessage<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof IptablesConflict)) throw error;
    const { chain, claim } = error;
    const holder = attachmentOfRule(error.holder ?? "");
    const whose = holder === undefined ? `chain ${chain}` : describeAttachment(holder);
    const mapping = claim as Pick<Mapping, "hostIp" | "hostPort" | "protocol"> | undefined;
    const message =
      mapping === undefined
        ? `cannot map host ports: chain name collision: ${chain} already belongs to ${whose}`
        : `cannot map host port ${describeHostPort(mapping)}: it is taken by ${whose}`;
    throw new CniError(code.refused, message);
  }
}

function locked<T>(sys: Sys, body: () => T): T {
  const lock = takeLock(sys, iptablesLock, "iptables");
  try {
    return body();
  } finally {
    sys.unlock(lock);
  }
}
