/**
 * `ptp`: a veth pair whose host interface has the gateway's address (`plan.ts` shows it).
 *
 * It keeps no record: the name of the host interface follows from the attachment, and the interface has its owner in the alias. Objects of the
 * reference `ptp` are checked and removed by the names and MAC addresses in its result.
 */
import type { Result } from "../../src/cni/result.ts";
import { NftConflict } from "../../src/dataplane/errors.ts";
import { type Executor, withExecutor } from "../../src/dataplane/executor.ts";
import { NodeFacts } from "../../src/dataplane/node-facts.ts";
import { runEvery } from "../../src/errors/run-every.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type Attachment, attachmentOf, ownerOf, ownerPrefixOf } from "../../src/identity/attachment.ts";
import { nftOwnerComment } from "../../src/plan/nft-owner.ts";
import type { Difference } from "../../src/plan/resource.ts";
import {
  delegateAdd,
  delegateCheck,
  delegateDel,
  delegateGc,
  delegateStatus,
  ipamTypeOf,
} from "../../src/plugin/delegate.ts";
import { type ReportedDifference, refuseDifferences } from "../../src/plugin/differences.ts";
import { notReady, notReadyForTables } from "../../src/plugin/not-ready.ts";
import { removalOf } from "../../src/plugin/owned.ts";
import { type CheckRequest, definePlugin } from "../../src/plugin/plugin.ts";
import { openSandbox } from "../../src/plugin/sandbox.ts";
import calicoIpam from "../calico-ipam/main.ts";
import { type PtpConf, parseConf } from "./conf.ts";
import { masqueradeTables } from "./masquerade.ts";
import { vethPrefix } from "./names.ts";
import { planOf, resultOf } from "./plan.ts";
import { hostInterfaceOf, type Wanted, wantedAtAdd, wantedAtCheck } from "./wanted.ts";

/** IPAM plugins that run in this process if CNI_PATH leads to this executable. */
const builtin = { "calico-ipam": calicoIpam };

const owned = removalOf({
  tables: masqueradeTables,
  onHost: (attachment, prevResult) => [
    { kind: "link", at: "host", name: hostInterfaceOf(attachment), signature: { kind: "veth" } },
    ...ofReference(prevResult, attachment.ifname),
  ],
  // Without a signature: other programs' veth pairs have such names.
  links: { of: "veth", isOurName: (name) => name.startsWith(vethPrefix) },
});

export default definePlugin<PtpConf>({
  name: "ptp",
  parseConf,
  records: true,

  add(request, context) {
    const { attachment, conf, netns } = request;
    const { sys } = context;
    const ipam = delegateAdd(conf.ipamType, request, context, builtin);
    const wanted = wantedAtAdd(attachment, conf, ipam);
    const plan = planOf(attachment, wanted, conf.masquerades, sys);
    context.record();
    const sandbox = openSandbox(sys, netns);
    const make = (executor: Executor, facts: NodeFacts) => {
      const done = executor.apply(plan, { mayReplace: (alias) => isOfNetwork(attachment.network, alias) });
      context.undo("remove the interface", () => done.undo());
      const [host, inside] = [facts.link("host", wanted.hostInterface), facts.link("sandbox", wanted.ifname)];
      return { ...wanted, hostMac: host?.mac, mac: inside?.mac, mtu: inside?.mtu ?? wanted.mtu };
    };
    const applied = overStale(sys, attachment, wanted.ips, () => withExecutor(sys, sandbox, make));
    return resultOf(applied, netns, conf, ipam);
  },

  check(request, context) {
    const { conf, netns } = request;
    const { sys } = context;
    const wanted = wantedAtCheck(request);
    runEvery([
      () => {
        const differences = withExecutor(sys, openSandbox(sys, netns), (executor, facts) =>
          compare({ executor, facts, sys }, request, wanted),
        );
        refuseDifferences(`"${wanted.ifname}"`, differences);
      },
      () => delegateCheck(conf.ipamType, request, context, builtin),
    ]);
  },

  del(request, context) {
    runEvery([
      () => owned.del(request, context),
      () => delegateDel(ipamTypeOf(request.document, calicoIpam.name), request, context, builtin),
    ]);
  },

  gc(request, context) {
    runEvery([
      () => owned.gc(request, context),
      () => delegateGc(ipamTypeOf(request.document, calicoIpam.name), request, context, builtin),
    ]);
  },

  status(request, context) {
    notReady(() => new NodeFacts(context.sys).probe({ kind: "links", of: ["veth"] }));
    if (request.conf.masquerades) notReadyForTables(context, masqueradeTables, ["nft_chain_nat", "nft_masq"]);
    delegateStatus(request.conf.ipamType, request, context, builtin);
  },
});

/** An address belongs to one attachment at a time: a route to it over another link of the same network is left from a sandbox that is being removed. */
function isOfNetwork(network: string, alias: string): boolean {
  return alias.startsWith(ownerPrefixOf(network));
}

/**
 * Applies the plan with `body`, again after removing stale masquerading. An address belongs to one attachment at a time: masquerading for another
 * attachment of the network, from which the IPAM plugin has taken the address, or for one without an interface, only awaits its DEL.
 */
function overStale<T>(sys: Sys, { network }: Attachment, ips: readonly unknown[], body: () => T): T {
  for (const _ of ips) {
    try {
      return body();
    } catch (error) {
      const holder = error instanceof NftConflict ? error.holder : undefined;
      const other = holder === undefined || nftOwnerComment(holder) !== holder ? undefined : attachmentOf(holder);
      if (other === undefined) throw error;
      withExecutor(sys, undefined, (executor, facts) => {
        if (other.network !== network && facts.link("host", hostInterfaceOf(other)) !== undefined) throw error;
        executor.remove(ownerOf(other), [{ kind: "nft-elements", tables: masqueradeTables }]);
      });
    }
  }
  return body();
}

/** The reference plugin writes no owner, and masquerades with iptables: neither is compared for its pairs. */
function compare(
  { executor, facts, sys }: { readonly executor: Executor; readonly facts: NodeFacts; readonly sys: Sys },
  { attachment, conf }: CheckRequest<PtpConf>,
  wanted: Wanted,
): readonly (Difference | ReportedDifference)[] {
  const isOwn = wanted.hostInterface === hostInterfaceOf(attachment);
  const plan = planOf(attachment, wanted, isOwn && conf.masquerades, sys);
  if (isOwn) return executor.diff(plan);
  const others = { ...plan, resources: plan.resources.filter(({ kind }) => kind !== "veth") };
  const [host, inside] = [facts.link("host", wanted.hostInterface), facts.link("sandbox", wanted.ifname)];
  const isPair = inside?.kind === "veth" && facts.vethEnds(wanted.ifname)?.host?.name === host?.name;
  const text = `link ${wanted.ifname} is not the other end of ${wanted.hostInterface}`;
  const hasMac = wanted.mac === undefined || inside?.mac === wanted.mac.toLowerCase();
  return [
    ...(isPair && host !== undefined ? [] : [{ kind: "veth", text }]),
    ...(hasMac ? [] : [{ kind: "veth", text: `link ${wanted.ifname} has mac ${inside?.mac}, wanted ${wanted.mac}` }]),
    ...executor.diff(others),
  ];
}

/** The host interface of the reference plugin's pair: it has no owner, but the name and MAC address in the result, which are random. */
function ofReference({ interfaces = [] }: Result = {}, ifname: string) {
  const host = interfaces.find(({ name, sandbox }) => !sandbox && name.startsWith(vethPrefix));
  const isPair = interfaces.some(({ name, sandbox }) => sandbox && name === ifname);
  if (host?.mac === undefined || !isPair) return [];
  const signature = { kind: "veth", mac: host.mac.toLowerCase() } as const;
  return [{ kind: "link", at: "host", name: host.name, signature } as const];
}
