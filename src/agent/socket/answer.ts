/** Answers plugins: runs the transaction for each message. **Never rejects**: an error is an answer. */

import { CoreError } from "../../errors/core-error.ts";
import { FailuresError } from "../../errors/run-every.ts";
import { type Attachment, attachmentKey } from "../../identity/attachment.ts";
import type { Assigned } from "../../ipam/model/handle-contents.ts";
import type { Pool } from "../../ipam/model/pool.ts";
import type {
  AssignMessage,
  AttachmentMessage,
  Message,
  NodeStatusMessage,
  OutgoingMessage,
  PodMessage,
  PoolMessage,
  PutEndpointMessage,
  Reply,
  ResultMessage,
} from "../../node-protocol/messages.ts";
import { protocolVersion } from "../../node-protocol/messages.ts";
import type { Endpoints } from "../endpoints/endpoints.ts";
import type { StatusFiles } from "../endpoints/status-files.ts";
import { awaitGates } from "../gates.ts";
import type { Addresses } from "../ipam/addresses.ts";
import type { Adds } from "../ipam/adds.ts";
import type { Assignment } from "../ipam/assigner.ts";
import type { KeyedQueue } from "../ipam/keyed-queue.ts";
import type { Unconfirmed } from "../ipam/unconfirmed.ts";
import type { Records } from "../leaks/records.ts";
import { parseMessage } from "./parse.ts";
import type { RequestText } from "./server.ts";

export interface Answerer {
  readonly addresses: Addresses;
  readonly endpoints: Endpoints;
  /** `undefined`: none are written. */
  readonly statusFiles?: StatusFiles | undefined;
  /** `undefined`: the node that the message names. */
  readonly node: string | undefined;
  /** Orders the requests of each attachment. */
  readonly queue: KeyedQueue;
  /** The ADDs in progress. */
  readonly adds: Adds;
  readonly unconfirmed: Unconfirmed;
  /** What plugins record on this node; `undefined` if the agent serves many nodes. */
  readonly records: Records | undefined;
  /** Executes what an earlier DEL of the attachment left in the spool. */
  readonly settle: (attachment: Attachment) => Promise<void>;
  /** Why writes are not allowed now. */
  readonly heldBack: () => string | undefined;
  /** How packets leave the pools; absent or `undefined`: all that leave are masqueraded. */
  readonly outgoing?: (() => OutgoingMessage | undefined) | undefined;
  /** What is wrong with the node's network; absent: the agent leaves the node's routes alone. */
  readonly networkTroubles?: (() => readonly string[]) | undefined;
  readonly describeNode: () => NodeStatusMessage;
  /** Called after each answer. */
  readonly onAnswer: (answered: Answered) => void;
}

export interface Answered {
  /** `unknown` if the message could not be parsed. */
  readonly op: string;
  readonly ms: number;
  readonly error: Error | undefined;
}

/** The configuration names another node: its addresses would be recorded for a node that this agent does not manage. */
class OtherNode extends CoreError {
  override readonly name = "OtherNode";
  readonly kind = "invalid";

  constructor(asked: string, own: string) {
    super(
      `cannot serve node "${asked}": this tortie-node is of node "${own}"; ` +
        `make "nodename" of the network configuration and NODENAME of the agent the same`,
    );
  }
}

/** The datastore is being upgraded or migrated. */
class HeldBack extends CoreError {
  override readonly name = "HeldBack";
  readonly kind = "timeout";
}

export async function answer(answerer: Answerer, request: RequestText): Promise<Reply> {
  const start = performance.now();
  let op = "unknown";
  let failure: Error | undefined;
  try {
    const message = parseMessage(request);
    op = message.op;
    return { version: protocolVersion, result: await serveMessage(answerer, message) };
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
    return { version: protocolVersion, error: describe(failure) };
  } finally {
    answerer.onAnswer({ op, ms: performance.now() - start, error: failure });
  }
}

/** Rejects with a `CoreError`, or with a bug. */
export async function serveMessage(answerer: Answerer, message: Message): Promise<ResultMessage> {
  const { node = message.nodename } = answerer;
  if (message.nodename !== node) throw new OtherNode(message.nodename, node);
  return await serve(answerer, message);
}

/**
 * Requests that change an attachment are executed in the order of their arrival: the plugin of an ADD may have been killed, and the DEL must find the
 * addresses that the agent is still assigning to that ADD.
 */
async function serve(answerer: Answerer, message: Message): Promise<ResultMessage> {
  if (message.op === "assign" || message.op === "status") requireNotHeldBack(answerer.heldBack());
  switch (message.op) {
    case "assign":
    case "release":
    case "put-endpoint":
    case "delete-endpoint": {
      const attachment = attachmentOf(message.attachment);
      // Messages from the spool enter the attachment's queue before this request.
      const settled = message.op === "assign" ? answerer.settle(attachment) : Promise.resolve();
      settled.catch(() => undefined);
      return await answerer.queue.run(attachmentKey(attachment), async () => {
        await settled;
        return await execute(answerer, message);
      });
    }
    default:
      return await execute(answerer, message);
  }
}

async function execute(answerer: Answerer, message: Message): Promise<ResultMessage> {
  const { addresses, endpoints, adds, records, networkTroubles, describeNode } = answerer;
  const { nodename: node, deadlineMs: ms } = message;
  switch (message.op) {
    case "assign":
      return await assign(answerer, message);
    case "release":
      adds.end(attachmentKey(attachmentOf(message.attachment)));
      records?.noteGone(attachmentOf(message.attachment));
      await answerer.unconfirmed.settled(attachmentKey(attachmentOf(message.attachment)));
      return resultOf(await addresses.release({ node, ...workloadOf(message) }, ms));
    case "held":
      return resultOf(await addresses.held(attachmentOf(message.attachment), ms));
    case "collect": {
      const { network } = message;
      const valid = message.valid.map(({ containerID: containerId, ifname }) => ({ containerId, ifname }));
      const { released, errors } = await addresses.collect({ node, network, valid }, ms);
      if (errors.length > 0) throw new FailuresError(errors);
      return resultOf(released);
    }
    case "status":
      await addresses.requireFree(node, message.wanted, ms);
      return {};
    case "pools":
      return { pools: poolsOf(await addresses.pools(ms)), ...outgoingField(answerer) };
    case "network":
      return { troubles: networkTroubles?.() ?? [] };
    case "node":
      return { node: describeNode() };
    case "pod":
      return { annotations: await endpoints.annotations({ node, ...message }, ms) };
    case "gates":
      await awaitGates(message.urls, ms);
      return {};
    case "pod-cidrs":
      return { podCidrs: await endpoints.podCidrs(node, ms) };
    case "put-endpoint":
      await putEndpoint(answerer, message);
      return {};
    case "delete-endpoint":
      answerer.statusFiles?.delete({ node, ...workloadOf(message) });
      await endpoints.delete({ node, ...workloadOf(message) }, ms);
      return {};
  }
}

async function assign(answerer: Answerer, message: AssignMessage): Promise<ResultMessage> {
  const { addresses, adds, records, unconfirmed } = answerer;
  const { nodename: node, deadlineMs: ms, confirmsLater } = message;
  const attachment = attachmentOf(message.attachment);
  const key = attachmentKey(attachment);
  await unconfirmed.settled(key);
  const assignment = await counting(adds, attachment, () =>
    addresses.assign({ ...message, node, ...workloadOf(message) }, ms, confirmsLater),
  );
  if (assignment.written !== undefined) unconfirmed.begin(key, assignment.written);
  records?.noteAssigned(attachment);
  return { ...assignResult(assignment), ...outgoingField(answerer) };
}

/** The endpoint is written beside the addresses: what a failure leaves, the plugin's `delete-endpoint` and `release` remove. */
async function putEndpoint(answerer: Answerer, message: PutEndpointMessage): Promise<void> {
  const { addresses, endpoints, adds, records, statusFiles, unconfirmed } = answerer;
  const { nodename: node, deadlineMs: ms, confirms } = message;
  const attachment = attachmentOf(message.attachment);
  const key = attachmentKey(attachment);
  records?.requireOwned(attachment);
  adds.end(key);
  const held = async () => (await addresses.held(attachment, ms)).map(({ address }) => address);
  const record = { ...message, node, ...workloadOf(message) };
  const writes = [
    endpoints.put(record, ms),
    ...(confirms === undefined ? [] : [unconfirmed.confirm(key, confirms, held)]),
  ];
  for (const outcome of await Promise.allSettled(writes)) if (outcome.status === "rejected") throw outcome.reason;
  statusFiles?.put(record);
}

function outgoingField({ outgoing }: Answerer): Pick<ResultMessage, "outgoing"> {
  const asked = outgoing?.();
  return asked === undefined ? {} : { outgoing: asked };
}

/** Counts the ADD until its plugin says how it ended. */
async function counting<T>(adds: Adds, attachment: Attachment, assign: () => Promise<T>): Promise<T> {
  const key = attachmentKey(attachment);
  adds.begin(key);
  try {
    return await assign();
  } catch (error) {
    adds.end(key);
    throw error;
  }
}

function requireNotHeldBack(reason: string | undefined): void {
  if (reason !== undefined) throw new HeldBack(reason);
}

function workloadOf({
  attachment,
  pod,
}: {
  readonly attachment: AttachmentMessage;
  readonly pod?: PodMessage | undefined;
}) {
  return { attachment: attachmentOf(attachment), pod };
}

function attachmentOf({ network, containerID: containerId, ifname }: AttachmentMessage): Attachment {
  return { network, containerId, ifname };
}

function assignResult({ addresses, isNew, pools, written }: Assignment): ResultMessage {
  return {
    ...resultOf(addresses),
    isNew,
    pools: poolsOf(pools),
    ...(written !== undefined && { isUnconfirmed: true }),
  };
}

function poolsOf(pools: readonly Pool[]): readonly PoolMessage[] {
  return pools.map(({ name, cidr, natOutgoing, disabled }) => ({ name, cidr, natOutgoing, disabled }));
}

function resultOf(assigned: readonly Assigned[]): ResultMessage {
  return { addresses: assigned.map(({ address, block }) => ({ address, block })) };
}

/** Any error but a `CoreError` is a bug. */
function describe(error: Error) {
  const { name, message } = error;
  if (error instanceof CoreError) return { kind: error.kind, name, message };
  return { kind: "bug" as const, name, message: `tortie-node has a fault: ${message}; its log has the stack` };
}
