/** The executor's reports in the words of the protocol. */
import type { NodeReport } from "../dataplane/node-executor.ts";
import { CoreError } from "../errors/core-error.ts";
import { type NetError, netProtocolVersion, type Refusal, type Report } from "../net-protocol/messages.ts";
import { BadRequest } from "../net-protocol/parse.ts";

export function reportOf({ failures, ...report }: NodeReport): Report {
  return { ...report, failures: failures.map(({ error, ...failure }) => ({ ...failure, error: errorOf(error) })) };
}

export function refusalOf(error: unknown): Refusal {
  const id = error instanceof BadRequest ? error.id : undefined;
  const versions = [netProtocolVersion];
  return { version: netProtocolVersion, ...(id !== undefined && { id }), error: errorOf(error), versions };
}

function errorOf(error: unknown): NetError {
  if (error instanceof CoreError) return { kind: error.kind, name: error.name, message: error.message };
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { kind: "bug", name, message };
}
