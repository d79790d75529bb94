/**
 * `calico`: a pod's interface.
 *
 *     ADD ──► IPAM plugin ──► addresses
 *               │
 *               ▼
 *             endpoint.ts     veth pair, sysctls, routes       ┐
 *             forwarding.ts   the node routes for its pods     ├─ one plan ──► kernel
 *             blocks.ts       unused addresses are dropped     │
 *             pool-rules.ts   and do not leave by the uplink   │
 *             nat-outgoing    pods leave by the node's address ┘
 *
 * ADD writes the endpoint's record before it touches the kernel. DEL and GC find the host interface by the record, or by its alias, and remove the
 * record last.
 */

import { podOf } from "../../src/cni/pod.ts";
import type { Result } from "../../src/cni/result.ts";
import { withExecutor } from "../../src/dataplane/executor.ts";
import { type Endpoint, hasEndpoint, readEndpoint, writeEndpoint } from "../../src/endpoint/endpoint.ts";
import { originOf } from "../../src/endpoint/origin.ts";
import { runEvery } from "../../src/errors/run-every.ts";
import type { Sys } from "../../src/host/sys.ts";
import { ownerOf } from "../../src/identity/attachment.ts";
import { canonicalAddress } from "../../src/net/address.ts";
import {
  delegateAdd,
  delegateCheck,
  delegateDel,
  delegateGc,
  delegateStatus,
  ipamTypeOf,
  withDocument,
} from "../../src/plugin/delegate.ts";
import { refuseDifferences } from "../../src/plugin/differences.ts";
import { collectInterfaces, type RemovedEndpoint, removeIdle, removeInterfaces } from "../../src/plugin/endpoints.ts";
import { usesAgent } from "../../src/plugin/node-agent.ts";
import { clusterNodename, nodename } from "../../src/plugin/nodename.ts";
import { notReady } from "../../src/plugin/not-ready.ts";
import {
  type CheckRequest,
  type Context,
  type DelRequest,
  definePlugin,
  type GcRequest,
} from "../../src/plugin/plugin.ts";
import { orAbsent } from "../../src/plugin/request.ts";
import { openSandbox } from "../../src/plugin/sandbox.ts";
import { isFeatureOn } from "../../src/plugin/unsupported.ts";
import { trustStateDirectories } from "../../src/store/file/trust.ts";
import calicoIpam, { type CallDetails, withCallDetails } from "../calico-ipam/main.ts";
import { blockFacts, reconcileBlocks } from "./blocks.ts";
import { awaitGates, clusterNatOf, deleteEndpoint, putEndpoint, withAnnotations } from "./cluster.ts";
import { clusterAnnotations, natsOf } from "./cluster-annotations.ts";
import { type CalicoConf, parseConf } from "./conf.ts";
import { gatewaysIn, withGateways } from "./gateways.ts";
import { identify, mayReplace } from "./identity.ts";
import { configuredMtu } from "./mtu.ts";
import { readPools } from "./nat.ts";
import { hasPools, planOf } from "./plan.ts";
import { withAnyPodCidrs, withPodCidrs } from "./pod-cidrs.ts";
import { reconcilePoolRules } from "./pool-rules.ts";
import { checkReadiness, testDatastore } from "./readiness.ts";
import { forget, ownedIn, type Recorded, rollBackEndpoint } from "./removal.ts";
import { resultOf, wantedAtAdd, wantedAtCheck } from "./wanted.ts";

/** IPAM plugins that run in this process if CNI_PATH leads to this executable. */
const builtin = { "calico-ipam": calicoIpam };

export default definePlugin<CalicoConf>({
  name: "calico",
  parseConf,
  records: true,

  add(asked, context) {
    const { sys } = context;
    const node = nodename(asked.conf.node, sys);
    awaitGates(asked, node, sys);
    const request = withPodCidrs(withAnnotations(asked, node, context), node, sys);
    const { conf, netns } = request;
    const annotated = clusterAnnotations(request);
    const identity = identify(request.attachment, request.args);
    let recorded: Recorded | undefined;
    // Runs last, after the addresses were released: if the process is killed before, DEL needs the record.
    context.undo(
      "remove the endpoint's record",
      () => recorded && rollBackEndpoint(ownedIn(asked.document), sys, recorded),
    );
    // Its `put-endpoint` confirms the addresses, so the kernel's work need not wait for the datastore.
    const details: CallDetails = { confirmsLater: true };
    const ipam =
      annotated.withoutIpam ??
      delegateAdd(conf.ipamType, request, context, { "calico-ipam": withCallDetails(details) });
    const wanted = wantedAtAdd(request, identity, ipam, sys);
    const { hostInterface, mac, addresses } = wanted;
    const ipNats = natsOf(annotated.floatingIps, addresses);
    const { attachment, pod } = identity;
    const gateways = gatewaysIn(ipam);
    const origin = originOf(sys);
    trustStateDirectories(sys);
    recorded = {
      endpoint: { attachment, pod, node, hostInterface, mac, addresses, gateways, netns, ...(origin && { origin }) },
      isNew: !hasEndpoint(sys, attachment),
    };
    // Before the first change in the kernel.
    context.record();
    writeEndpoint(sys, recorded.endpoint);
    const sandbox = openSandbox(sys, netns);
    const around = { sys, node, ipamType: conf.ipamType, pools: details.pools } as const;
    const applied = withExecutor(sys, sandbox, (executor, facts) => {
      const plan = planOf(identity, wanted, {
        ...around,
        blockFacts: blockFacts(facts),
        clusterNat: details.clusterNat ?? clusterNatOf(request.document, node, sys),
      });
      return executor.apply(plan, { mayReplace: mayReplace(sys, identity) });
    });
    context.undo("remove the endpoint", () => applied.undo());
    const { allowedSources } = annotated;
    putEndpoint(request, wanted, { node, pod, ipNats, allowedSources, unconfirmed: details.unconfirmed }, context);
    context.log.info("endpoint added", () => ({ hostInterface, mac, addresses }));
    return resultOf(wanted, request, applied.links.get(`sandbox:${wanted.ifname}`)?.mtu ?? wanted.mtu, ipam);
  },

  check(request, context) {
    const { sys } = context;
    const record = readEndpoint(sys, request.attachment);
    const forIpam = withDocument(request, withGateways(request.document, record?.gateways ?? []));
    const identity = identify(request.attachment, request.args);
    const wanted = wantedAtCheck(request, identity);
    const node = record?.node ?? nodename(request.conf.node, sys);
    runEvery([
      () => {
        const sandbox = openSandbox(sys, request.netns);
        const around = { sys, node, ipamType: request.conf.ipamType } as const;
        const differences = withExecutor(sys, sandbox, (executor, facts) => {
          const nat = clusterNatOf(request.document, node, sys);
          return executor.diff(planOf(identity, wanted, { ...around, clusterNat: nat, blockFacts: blockFacts(facts) }));
        });
        refuseDifferences(`"${wanted.ifname}"`, differences);
      },
      // A damaged datastore must not hide differences in the kernel.
      () => {
        if (isWithoutIpam(request, node, context)) return;
        delegateCheck(request.conf.ipamType, withPodCidrs(forIpam, node, sys), context, builtin);
      },
    ]);
  },

  del(request, context) {
    const { sys } = context;
    const { attachment } = request;
    const owned = ownedIn(request.document);
    const removed = removeInterfaces(owned, sys, attachment, request.netns);
    const { hostInterfaces, record, wasLast } = removed;
    if (hostInterfaces.length > 0) context.log.info("endpoint removed", () => ({ hostInterfaces }));
    else context.log.debug("no endpoint to remove");
    const isOfCluster = usesAgent(request.document);
    const isSilent = isOfCluster && deleteEndpoint(sys, attachment, endpointOf(removed, request, sys));
    const details: CallDetails = { isSilent };
    delegateDel(ipamTypeOf(request.document, calicoIpam.name), withAnyPodCidrs(request), context, {
      "calico-ipam": withCallDetails(details),
    });
    const released = [...(details.released ?? []), ...addressesIn(request.prevResult)];
    forget(sys, [record ?? { attachment, node: undefined, addresses: released }], !isOfCluster);
    // Two concurrent DELs may each have seen the other's record.
    if (!wasLast) removeIdle(owned, sys);
  },

  gc(request, context) {
    const { sys } = context;
    const { network } = request;
    const valid = new Set(request.valid.map((attachment) => ownerOf({ network, ...attachment })));
    const isOfCluster = usesAgent(request.document);
    const owned = ownedIn(request.document);
    const collected: Endpoint[] = [];
    const deleteEndpoints = () =>
      runEvery(
        collected.map(
          (record) => () => void deleteEndpoint(sys, record.attachment, endpointOf({ record }, request, sys)),
        ),
      );
    runEvery([
      () => collectInterfaces(owned, sys, network, valid, (record) => collected.push(record)),
      ...(isOfCluster ? [deleteEndpoints] : []),
      () => delegateGc(ipamTypeOf(request.document, calicoIpam.name), withAnyPodCidrs(request), context, builtin),
      () => forget(sys, collected, !isOfCluster),
      // A cluster's are the node agent's.
      ...(isOfCluster ? [] : reconciliations(request, context)),
      () => removeIdle(owned, sys),
    ]);
  },

  status(request, context) {
    checkReadiness(context);
    notReady(() => configuredMtu(request.conf, context.sys));
    const node = () => nodename(request.conf.node, context.sys);
    delegateStatus(request.conf.ipamType, withPodCidrs(request, node, context.sys), context, builtin);
  },

  flags: { "-t": testDatastore },
});

/** Whether the pod's annotation gave its addresses. Asks only where that is allowed. */
function isWithoutIpam(request: CheckRequest<CalicoConf>, node: string, context: Context): boolean {
  if (!isFeatureOn(request.document, "ip_addrs_no_ipam")) return false;
  return clusterAnnotations(withAnnotations(request, node, context)).withoutIpam !== undefined;
}

/** Of what killed processes left half done. */
function reconciliations(
  { network, conf, document }: GcRequest<CalicoConf>,
  { sys, log }: Context,
): readonly (() => void)[] {
  const networkOfPools = hasPools(ipamTypeOf(document, calicoIpam.name)) ? network : undefined;
  return [
    () => reconcileBlocks(sys, conf && orAbsent(log, () => nodename(conf.node, sys))),
    () => reconcilePoolRules(sys, networkOfPools, () => orAbsent(log, () => readPools(sys))),
  ];
}

/** The endpoint to remove: from its record, or from the request. */
function endpointOf(
  { record }: Pick<RemovedEndpoint, "record">,
  { conf, args }: Pick<DelRequest<CalicoConf>, "conf" | "args">,
  sys: Sys,
) {
  return { node: record?.node ?? clusterNodename(conf?.node, sys), pod: record?.pod ?? podOf(args) };
}

function addressesIn(result: Result | undefined): readonly string[] {
  return (result?.ips ?? []).flatMap(({ address }) => canonicalAddress(address.replace(/\/.*/, "")) ?? []);
}
