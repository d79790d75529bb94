/**
 * The node agent as plugins ask it, for datastores of a cluster (`datastore_type` kubernetes and etcdv3): no plugin talks to one.
 *
 * **An ADD fails without the agent, a DEL never does**: what it would have asked goes to the spool, and is done when the agent can.
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
  type PoolMessage,
  protocolVersion,
  type Reply,
  type ResultMessage,
  type SpooledMessage,
} from "../node-protocol/messages.ts";
import { spool } from "../node-protocol/spool.ts";

/** Where an operator looks for the agent. */
export const whereAgentIs = "look at its DaemonSet's pod on this node, or at `systemctl status tortie-node`";

/** How long an ADD waits for an answer: a node with many pods and a slow datastore answers one after another. */
const waitMs = 40_000;
/** How long a DEL waits before it leaves the rest to the agent, which goes on with it. */
const releaseWaitMs = 400;

/** A message without what is the same in each. */
export type Question = Message extends infer One
  ? One extends unknown
    ? Omit<One, "version" | "deadlineMs">
    : never
  : never;

/** Nobody answers at the agent's socket, or not in time. */
class NoAgent extends CoreError {
  override readonly name = "NoAgent";
  readonly kind = "timeout";

  constructor(cause: Error) {
    const isLate = isErrno(cause, "ETIMEDOUT");
    const state = isLate ? "did not answer in time" : "is not running";
    super(`cannot ask the node agent: tortie-node ${state} (${cause.message}); ${whereAgentIs}`, { cause });
  }
}

/** The agent's own error. */
class AgentError extends CoreError {
  override readonly name = "AgentError";
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Whether a configuration's objects are in a datastore of a cluster, which the agent alone talks to. */
export function usesAgent({ datastore_type: type }: { readonly datastore_type?: unknown }): boolean {
  return typeof type === "string" && /^(kubernetes|etcdv3)$/i.test(type);
}

/** Throws `NoAgent`, and what the agent refused. */
export function ask(sys: Sys, question: Question, timeoutMs = waitMs): ResultMessage {
  const message = { version: protocolVersion, deadlineMs: waitMs, ...question };
  const reply = parseReply(exchange(sys, `${JSON.stringify(message)}\n`, timeoutMs));
  if ("result" in reply) return reply.result;
  const { kind, message: text } = reply.error;
  if (kind === "bug") throw new Error(text);
  throw new AgentError(kind, text);
}

/** Has it done now or, when that is not possible at once, later. Returns what was released now. */
export function askOrSpool(
  sys: Sys,
  attachment: Attachment,
  question: Omit<SpooledMessage, "version" | "deadlineMs">,
): ResultMessage {
  try {
    return ask(sys, question as Question, releaseWaitMs);
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    const message = { version: protocolVersion, deadlineMs: waitMs, ...question } as SpooledMessage;
    spool(sys, attachment, message);
    return {};
  }
}

/** A pool of a cluster, as far as a node's plugins need it. */
export interface ClusterPool extends PoolMessage {
  readonly family: Family;
}

export function clusterPool(pool: PoolMessage): ClusterPool {
  return { ...pool, family: familyOf(pool.cidr) };
}

export function attachmentMessage({ network, containerId, ifname }: Attachment): AttachmentMessage {
  return { network, containerID: containerId, ifname };
}

/** As a message has it: absent for a container without a pod. */
export function podMessage(pod: Pod | undefined): { readonly pod?: Pod } {
  return pod === undefined ? {} : { pod };
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
