/** Answers plugins: each message by the transaction that it asks for. **Never rejects**: what goes wrong is an answer. */
import { CoreError } from "../../errors/core-error.ts";
import { FailuresError } from "../../errors/run-every.ts";
import type { Attachment } from "../../identity/attachment.ts";
import type { Assigned } from "../../ipam/model/handle-contents.ts";
import type { AttachmentMessage, Message, Reply, ResultMessage } from "../../node-protocol/messages.ts";
import { protocolVersion } from "../../node-protocol/messages.ts";
import type { Addresses } from "../ipam/addresses.ts";
import { parseMessage } from "./parse.ts";
import type { RequestText } from "./server.ts";

export interface Answerer {
  readonly addresses: Addresses;
  /** `undefined`: the message's own. */
  readonly node: string | undefined;
  /** Why nothing is to be written now. */
  readonly heldBack: () => string | undefined;
  /** Told of each, when it has been answered. */
  readonly onAnswer: (answered: Answered) => void;
}

export interface Answered {
  /** `unknown` where nobody could read it. */
  readonly op: string;
  readonly ms: number;
  readonly error: Error | undefined;
}

/** A configuration names another node: its addresses would be filed under a name that this agent does not keep. */
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

/** Somebody is at work on the datastore. */
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
    const { node = message.nodename } = answerer;
    if (message.nodename !== node) throw new OtherNode(message.nodename, node);
    return { version: protocolVersion, result: await serve(answerer, message) };
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
    return { version: protocolVersion, error: describe(failure) };
  } finally {
    answerer.onAnswer({ op, ms: performance.now() - start, error: failure });
  }
}

async function serve({ addresses, heldBack }: Answerer, message: Message): Promise<ResultMessage> {
  const { nodename: node, deadlineMs: ms } = message;
  if (message.op === "assign" || message.op === "status") requireNotHeldBack(heldBack());
  switch (message.op) {
    case "assign":
      return resultOf(await addresses.assign({ ...message, node, ...workloadOf(message) }, ms));
    case "release":
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
  }
}

function requireNotHeldBack(reason: string | undefined): void {
  if (reason !== undefined) throw new HeldBack(reason);
}

function workloadOf({ attachment, pod }: Extract<Message, { op: "assign" | "release" }>) {
  return { attachment: attachmentOf(attachment), pod };
}

function attachmentOf({ network, containerID: containerId, ifname }: AttachmentMessage): Attachment {
  return { network, containerId, ifname };
}

function resultOf(assigned: readonly Assigned[]): ResultMessage {
  return { addresses: assigned.map(({ address, block }) => ({ address, block })) };
}

/** What is no error of the core is a bug. */
function describe(error: Error) {
  const { name, message } = error;
  if (error instanceof CoreError) return { kind: error.kind, name, message };
  return { kind: "bug" as const, name, message: `tortie-node has a fault: ${message}; its log has the stack` };
}
