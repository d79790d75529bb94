/**
 * The plugins' client of the node agent, for the datastores of a cluster (`datastore_type` kubernetes and etcdv3), which no plugin accesses itself.
 *
 * **An ADD fails without the agent, a DEL does not**: it leaves its requests in the spool, and the agent executes them later.
 */
import { CoreError, type ErrorKind } from "../errors/core-error.ts";
import { isErrno, type Sys } from "../host/sys.ts";
import type { Attachment } from "../identity/attachment.ts";
import type { Pod } from "../identity/pod.ts";
import { type Family, familyOf } from "../net/address.ts";
import {
  type AttachmentMessage,
  defaultSocket,
  type Message,
  type OutgoingMessage,
  type PoolMessage,
  protocolVersion,
  type Reply,
  type ResultMessage,
  type SpooledMessage,
} from "../node-protocol/messages.ts";
import { spool } from "../node-protocol/spool.ts";

/** Tells an operator where to look for the agent. */
export const whereAgentIs = "look at its DaemonSet's pod on this node, or at `systemctl status tortie-node`";

/** How long an ADD waits for an answer: with many pods and a slow datastore, requests queue up. */
const waitMs = 40_000;
/** How long a DEL waits before it returns; the agent continues the request. */
const releaseWaitMs = 400;

/** A message without the fields that all messages share. */
export type Question = Message extends infer One
  ? One extends unknown
    ? Omit<One, "version" | "deadlineMs">
    : never
  : never;

/** No agent answers at the socket, or not in time. */
class NoAgent extends CoreError {
  override readonly name = "NoAgent";
  readonly kind = "timeout";

  constructor(cause: Error) {
    const isLate = isErrno(cause, "ETIMEDOUT");
    const state = isLate ? "did not answer in time" : "is not running";
    super(`cannot ask the node agent: tortie-node ${state} (${cause.message}); ${whereAgentIs}`, { cause });
  }
}

/** An error that the agent reported. */
class AgentError extends CoreError {
  override readonly name = "AgentError";
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Whether the configuration selects the datastore of a cluster, which only the agent accesses. */
export function usesAgent({ datastore_type: type }: { readonly datastore_type?: unknown }): boolean {
  return typeof type === "string" && /^(kubernetes|etcdv3)$/i.test(type);
}

/** Throws `NoAgent`, or the agent's error. */
export function ask(sys: Sys, question: Question, timeoutMs = waitMs): ResultMessage {
  const message = { version: protocolVersion, deadlineMs: waitMs, ...question };
  const reply = parseReply(exchange(sys, `${JSON.stringify(message)}\n`, timeoutMs));
  if ("result" in reply) return reply.result;
  const { kind, message: text } = reply.error;
  if (kind === "bug") throw new Error(text);
  throw new AgentError(kind, text);
}

/** The answer to a request that may wait in the spool. */
export interface AskedOrSpooled extends ResultMessage {
  readonly isSpooled?: true;
}

/** Sends the request, or leaves it in the spool if the agent does not answer at once, or, with `isSilent`, has not answered the one before. */
export function askOrSpool(
  sys: Sys,
  attachment: Attachment,
  question: Omit<SpooledMessage, "version" | "deadlineMs">,
  isSilent = false,
): AskedOrSpooled {
  try {
    if (!isSilent) return ask(sys, question as Question, releaseWaitMs);
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
  }
  const message = { version: protocolVersion, deadlineMs: waitMs, ...question } as SpooledMessage;
  spool(sys, attachment, message);
  return { isSpooled: true };
}

/** The fields of a cluster's pool that the plugins of a node need. */
export interface ClusterPool extends PoolMessage {
  readonly family: Family;
}

function clusterPool(pool: PoolMessage): ClusterPool {
  return { ...pool, family: familyOf(pool.cidr) };
}

/** A cluster's pools, and how packets leave them. */
export interface ClusterNat {
  readonly pools: readonly ClusterPool[];
  readonly outgoing: OutgoingMessage | undefined;
}

/** `result`: of `assign` or `pools`. */
export function clusterNat({ pools = [], outgoing }: ResultMessage): ClusterNat {
  return { pools: pools.map(clusterPool), outgoing };
}

/** The fields that identify the attachment of a message; the pod is absent for a container without one. */
export function workloadMessage(nodename: string, attachment: Attachment, pod: Pod | undefined) {
  return { nodename, attachment: attachmentMessage(attachment), ...(pod !== undefined && { pod }) };
}

export function attachmentMessage({ network, containerId, ifname }: Attachment): AttachmentMessage {
  return { network, containerID: containerId, ifname };
}

function exchange(sys: Sys, request: string, timeoutMs: number): string {
  try {
    return sys.exchange(defaultSocket, request, timeoutMs);
  } catch (error) {
    if (error instanceof Error && "code" in error) throw new NoAgent(error);
    throw error;
  }
}

function parseReply(text: string): Reply {
  try {
    return JSON.parse(text) as Reply;
  } catch (cause) {
    throw new NoAgent(new Error(`its answer is ${JSON.stringify(text.slice(0, 100))}`, { cause }));
  }
}
