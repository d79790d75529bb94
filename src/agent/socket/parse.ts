/** Parses a plugin's message. */
import * as z from "zod";
import { CoreError } from "../../errors/core-error.ts";
import { canonicalAddress } from "../../net/address.ts";
import { isDnsSubdomain } from "../../net/dns-name.ts";
import { canonicalPrefix } from "../../net/prefix.ts";
import { type Message, protocolVersion } from "../../node-protocol/messages.ts";
import type { RequestText } from "./server.ts";

/** The text is not a message of the protocol. */
class BadMessage extends CoreError {
  override readonly name = "BadMessage";
  readonly kind = "invalid";

  constructor(reason: string) {
    super(`cannot read the request: ${reason}`);
  }
}

/** Names contain neither, because handles and owners are composed of names. */
const part = z.string().regex(/^[^/:\s]+$/, "want a name without white space, / and :");
const attachment = z.object({ network: part, containerID: part, ifname: part });
const pod = z.object({ namespace: z.string().min(1), name: z.string().min(1) });
const wanted = z.array(z.object({ family: z.union([z.literal(4), z.literal(6)]), pools: z.array(z.string()) }));
const address = z
  .string()
  .refine((text) => canonicalAddress(text) !== undefined, "want an IP address")
  .transform((text) => canonicalAddress(text) ?? text);
const addresses = z.array(address).transform((list) => [...new Set(list)]);

const envelope = {
  version: z.literal(protocolVersion),
  nodename: z.string().refine(isDnsSubdomain, "want the name of a node"),
  deadlineMs: z.number().min(1).max(120_000),
};

const schema = z.discriminatedUnion("op", [
  z.object({
    ...envelope,
    op: z.literal("assign"),
    attachment,
    pod: pod.optional(),
    wanted,
    addresses,
    reserved: addresses,
    confirmsLater: z.boolean().optional(),
  }),
  z.object({ ...envelope, op: z.literal("release"), attachment, pod: pod.optional() }),
  z.object({ ...envelope, op: z.literal("held"), attachment }),
  z.object({
    ...envelope,
    op: z.literal("collect"),
    network: part,
    valid: z.array(attachment.omit({ network: true })),
  }),
  z.object({ ...envelope, op: z.literal("status"), wanted }),
  z.object({ ...envelope, op: z.literal("pools") }),
  z.object({ ...envelope, op: z.literal("gates"), urls: z.array(z.string()) }),
  z.object({ ...envelope, op: z.literal("pod-cidrs") }),
  z.object({ ...envelope, op: z.literal("network") }),
  z.object({ ...envelope, op: z.literal("node") }),
  z.object({ ...envelope, op: z.literal("pod"), pod, uid: z.string().optional() }),
  z.object({
    ...envelope,
    op: z.literal("put-endpoint"),
    attachment,
    pod: pod.optional(),
    addresses: z.array(
      z.string().refine((text) => canonicalPrefix(text) !== undefined, "want an address with its prefix length"),
    ),
    hostInterface: z.string().min(1).max(15),
    mac: z.string(),
    profiles: z.array(part),
    ipNats: z.array(z.object({ internalIP: address, externalIP: address })).optional(),
    allowedSources: z.array(z.string().refine((text) => canonicalPrefix(text) !== undefined, "want a CIDR")).optional(),
    confirms: addresses.optional(),
  }),
  z.object({ ...envelope, op: z.literal("delete-endpoint"), attachment, pod: pod.optional() }),
]);

/** Throws `BadMessage`, which names the field. Accepts unknown fields, which a later release may send. */
export function parseMessage(request: RequestText): Message {
  if ("refused" in request) throw new BadMessage(`it is ${request.refused}`);
  const document = parseJson(request.text);
  const { version } = (document ?? {}) as { readonly version?: unknown };
  if (version !== protocolVersion)
    throw new BadMessage(
      `its version is ${JSON.stringify(version)}; this tortie-node speaks version ${protocolVersion}`,
    );
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new BadMessage(`${issue?.path.join(".") || "it"}: ${issue?.message}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new BadMessage(`it is not JSON (${(error as Error).message})`);
  }
}
