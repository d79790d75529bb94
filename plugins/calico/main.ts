/**
 * `calico`: a pod's interface.
 *
 *     ADD ──► IPAM plugin ──► addresses
 *               │
 *               ▼
 *             endpoint.ts     veth pair, sysctls, routes       ┐
 *             forwarding.ts   the node routes for its pods     ├─ one plan ──► kernel
 *             nat-outgoing    pods leave by the node's address ┘
 *
 * ADD writes the endpoint's record before it touches the kernel. DEL and GC find the host interface by the record, or by its alias.
 */
import { ownerOf } from "../../src/cni/attachment.ts";
import { apply } from "../../src/dataplane/apply.ts";
import { diff } from "../../src/dataplane/diff.ts";
import { type Endpoint, hasEndpoint, readEndpoint, writeEndpoint } from "../../src/endpoint/endpoint.ts";
import { originOf } from "../../src/endpoint/origin.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Plan } from "../../src/plan/resource.ts";
import {
  delegateAdd,
  delegateCheck,
  delegateDel,
  delegateGc,
  delegateStatus,
  withDocument,
} from "../../src/plugin/delegate.ts";
import { refuseDifferences } from "../../src/plugin/differences.ts";
import { nodename } from "../../src/plugin/nodename.ts";
import { notReady } from "../../src/plugin/not-ready.ts";
import { type Context, definePlugin, type JsonObject } from "../../src/plugin/plugin.ts";
import { openSandbox } from "../../src/plugin/sandbox.ts";
import { runEvery } from "../../src/plugin/steps.ts";
import { trustStateFolders } from "../../src/store/trust.ts";
import calicoIpam from "../calico-ipam/main.ts";
import { type CalicoConf, parseConf } from "./conf.ts";
import { type EndpointSpec, planEndpoint } from "./endpoint.ts";
import { planForwarding } from "./forwarding.ts";
import { gatewaysIn, withGateways } from "./gateways.ts";
import { type Identity, identify, mayReplace } from "./identity.ts";
import { configuredMtu } from "./mtu.ts";
import { planNat } from "./nat.ts";
import { checkReadiness, testDatastore } from "./readiness.ts";
import { collectAttachments, forgetAttachment, removeAttachment, removeIdleNat } from "./removal.ts";
import { resultOf, wantedAtAdd, wantedAtCheck } from "./wanted.ts";

/** IPAM plugins that run in this process when CNI_PATH leads to this very executable. */
const builtin = { "calico-ipam": calicoIpam };

export default definePlugin<CalicoConf>({
  name: "calico",
  parseConf,
  makes: () => true,

  add(request, context) {
    const { conf, netns } = request;
    const { sys } = context;
    const identity = identify(request.attachment, request.args);
    const node = nodename(conf.node, sys);
    const ipam = delegateAdd(conf.ipamType, request, context, builtin);
    const wanted = wantedAtAdd(request, identity, ipam, sys);
    const { hostInterface, mac, addresses } = wanted;
    const { attachment, pod } = identity;
    const gateways = gatewaysIn(ipam);
    const origin = originOf(sys);
    record(
      { attachment, pod, node, hostInterface, mac, addresses, gateways, netns, ...(origin && { origin }) },
      context,
    );
    const sandbox = openSandbox(sys, netns);
    const plan = planOf(identity, wanted, sys);
    const applied = apply(plan, { sys, sandbox }, { mayReplace: mayReplace(sys, identity) });
    context.undo("remove the endpoint", () => applied.undo());
    context.log.info("endpoint added", () => ({ hostInterface, mac, addresses }));
    return resultOf(wanted, request, applied.links.get(`sandbox:${wanted.ifname}`)?.mtu ?? wanted.mtu, ipam);
  },

  check(request, context) {
    const { sys } = context;
    const gateways = readEndpoint(sys, request.attachment)?.gateways ?? [];
    const forIpam = withDocument(request, withGateways(request.document, gateways));
    delegateCheck(request.conf.ipamType, forIpam, context, builtin);
    const identity = identify(request.attachment, request.args);
    const wanted = wantedAtCheck(request, identity);
    const scene = { sys, sandbox: openSandbox(sys, request.netns) };
    refuseDifferences(`"${wanted.ifname}"`, diff(planOf(identity, wanted, sys), scene));
  },

  del(request, context) {
    const hostInterfaces = removeAttachment(context.sys, request.attachment, request.netns);
    if (hostInterfaces.length > 0) context.log.info("endpoint removed", () => ({ hostInterfaces }));
    else context.log.debug("no endpoint to remove");
    delegateDel(ipamTypeOf(request.document), request, context, builtin);
  },

  gc(request, context) {
    const { network } = request;
    const valid = new Set(request.valid.map((attachment) => ownerOf({ network, ...attachment })));
    runEvery([
      () => collectAttachments(context.sys, network, valid),
      () => delegateGc(ipamTypeOf(request.document), request, context, builtin),
    ]);
  },

  status(request, context) {
    checkReadiness(context);
    notReady(() => configuredMtu(request.conf, context.sys));
    delegateStatus(request.conf.ipamType, request, context, builtin);
  },

  flags: { "-t": testDatastore },
});

/** Writes the endpoint's record, before there is anything in the kernel to lose. */
function record(endpoint: Endpoint, { sys, undo }: Context): void {
  const { attachment } = endpoint;
  trustStateFolders(sys);
  // A record that was there before this call describes what was there before this call.
  const known = hasEndpoint(sys, attachment);
  undo("remove the endpoint's record", () => {
    if (!known) forgetAttachment(sys, attachment, endpoint.hostInterface);
    removeIdleNat(sys);
  });
  writeEndpoint(sys, endpoint);
}

function planOf({ owner }: Identity, wanted: EndpointSpec, sys: Sys): Plan {
  const { addresses } = wanted;
  return { owner, resources: [...planForwarding(sys, addresses), ...planEndpoint(wanted), ...planNat(sys, addresses)] };
}

/** DEL and GC go on without a valid configuration: they ask whom it names, or our own IPAM when it names none. */
function ipamTypeOf({ ipam }: JsonObject): string {
  const type = typeof ipam === "object" && ipam !== null && "type" in ipam ? ipam.type : undefined;
  return typeof type === "string" && type !== "" ? type : calicoIpam.name;
}
