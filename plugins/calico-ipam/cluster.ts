/** Addresses from a cluster, through the node agent. The agent creates pools; a configuration's own pools only restrict the choice. */

import { podOf } from "../../src/cni/pod.ts";
import type { Result } from "../../src/cni/result.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import { handleIdOf, readHandle } from "../../src/ipam/model/handle.ts";
import type { AddressMessage } from "../../src/node-protocol/messages.ts";
import { refuseDifferences } from "../../src/plugin/differences.ts";
import { ask, askOrSpool, attachmentMessage, clusterNat, workloadMessage } from "../../src/plugin/node-agent.ts";
import { clusterNodename, nodename } from "../../src/plugin/nodename.ts";
import { notReady } from "../../src/plugin/not-ready.ts";
import type { AddRequest, Context, DelRequest } from "../../src/plugin/plugin.ts";
import { openDatastore } from "../../src/store/open.ts";
import { drive } from "../../src/store/transaction.ts";
import { type IpamConf, nothingWanted, requestedAddresses } from "./conf.ts";
import { differences } from "./differences.ts";
import { embedded } from "./embedded.ts";
import { logReleased } from "./released.ts";
import { resultOf } from "./result.ts";
import type { AddressSource, CallDetails } from "./source.ts";
import { reservedAddresses } from "./subnets.ts";

export const cluster: AddressSource = {
  add: assign,

  check({ attachment, conf, prevResult }, { sys }) {
    const question = {
      op: "held",
      nodename: nodename(conf.node, sys),
      attachment: attachmentMessage(attachment),
    } as const;
    const { addresses = [] } = ask(sys, question);
    const found = differences(
      addresses.map(({ address }) => address),
      prevResult,
    );
    refuseDifferences(`the addresses of handle "${handleIdOf(attachment)}"`, found);
  },

  del: release,

  gc({ network, valid, conf }, context) {
    const { sys } = context;
    const entries = valid.map(({ containerId, ifname }) => ({ containerID: containerId, ifname }));
    const question = { op: "collect", nodename: clusterNodename(conf?.node, sys), network, valid: entries } as const;
    logReleased(context, "stale addresses released", ask(sys, question).addresses ?? []);
  },

  status({ conf }, { sys }) {
    const { wanted } = conf.requests;
    notReady(() => ask(sys, { op: "status", nodename: nodename(conf.node, sys), wanted }));
  },
};

function assign(request: AddRequest<IpamConf>, context: Context, details: CallDetails): Result {
  const { conf, args, attachment } = request;
  const { sys } = context;
  const requests = attachment.ifname === "eth0" ? conf.requestsOfPod : conf.requests;
  const addresses = requestedAddresses(requests, args);
  if (addresses.length === 0 && requests.wanted.length === 0) throw nothingWanted();
  const node = nodename(conf.node, sys);
  const workload = workloadMessage(node, attachment, podOf(args));
  // A gateway's subnet may be any pool.
  const known = conf.gateways.length === 0 ? [] : (ask(sys, { op: "pools", nodename: node }).pools ?? []);
  const reserved = reservedAddresses(known, conf.gateways);
  context.record();
  const { confirmsLater } = details;
  const answer = ask(sys, { op: "assign", ...workload, wanted: requests.wanted, addresses, reserved, confirmsLater });
  const { addresses: assigned = [], pools = [], isNew } = answer;
  // Addresses that the attachment held before must stay.
  if (isNew)
    context.undo("assignment of addresses", () => void askOrSpool(sys, attachment, { op: "release", ...workload }));
  if (answer.isUnconfirmed) details.unconfirmed = assigned.map(addressIn);
  details.clusterNat = clusterNat(answer);
  context.log.info("addresses assigned", () => ({ handle: handleIdOf(attachment), ips: assigned.map(addressIn) }));
  return resultOf(assigned, addresses.length > 0, conf, pools);
}

/** Does not fail if the agent or the datastore is unavailable. The ADD may have used the embedded datastore. */
function release(request: DelRequest<IpamConf>, context: Context, details: CallDetails): void {
  const { attachment, args, conf } = request;
  const { sys } = context;
  if (isHeldHere(attachment, sys)) {
    embedded.del(request, context, details);
    return;
  }
  const workload = workloadMessage(clusterNodename(conf?.node, sys), attachment, podOf(args));
  const { addresses = [] } = askOrSpool(sys, attachment, { op: "release", ...workload }, details.isSilent);
  details.released = addresses.map(addressIn);
  logReleased(context, "addresses released", addresses, { handle: handleIdOf(attachment) });
}

function isHeldHere(attachment: Attachment, sys: Sys): boolean {
  return drive(readHandle(handleIdOf(attachment)), openDatastore("file", sys).store) !== undefined;
}

function addressIn({ address }: AddressMessage): string {
  return address;
}
