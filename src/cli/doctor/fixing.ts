/** Executes a finding's `fix`. */

import { writeEndpoint } from "../../endpoint/endpoint.ts";
import { removePart, writePart } from "../../endpoint/part.ts";
import { CoreError } from "../../errors/core-error.ts";
import { isErrno } from "../../host/sys.ts";
import { checkIpam } from "../../ipam/check/check.ts";
import { confirmedProblems, repair } from "../../ipam/check/repair.ts";
import type { Problem } from "../../ipam/check/report.ts";
import { readBlock, releaseBlock } from "../../ipam/model/affinity.ts";
import { isEmpty } from "../../ipam/model/block.ts";
import { drive } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import { takeSnapshot } from "../ipam/snapshot.ts";
import { gatherFacts } from "../node/facts.ts";
import { datastoreOf } from "../store.ts";
import type { ChainCall, Finding, Fix, PluginCall, Step } from "./finding.ts";
import { callPlugin, faultOfPlugin, quote } from "./plugin-call.ts";

/** Applies a fix. Throws `Error` with the reason of a failure. */
export async function applyFix(cli: Cli, { fix, id, subject }: Finding, graceNs: bigint): Promise<readonly Step[]> {
  if (fix === undefined) throw new Error(`${id} ${subject} needs a manual repair`);
  switch (fix.kind) {
    case "plugins":
      return callAll(cli, fix.calls);
    case "chain":
      return addAll(cli, fix.calls);
    case "programs":
      for (const argv of fix.argvs) await cli.program(argv);
      return describeFix(fix);
    case "record":
      writeEndpoint(cli.sys, fix.endpoint);
      return describeFix(fix);
    case "address":
      return repairAddress(cli, fix, graceNs);
    case "reclaim":
      return reclaim(cli, fix);
    case "remove":
      return removeFiles(cli, fix);
  }
}

/** Describes the same steps without executing them. */
export function describeFix(fix: Fix): readonly Step[] {
  switch (fix.kind) {
    case "plugins":
    case "chain":
      return fix.calls.map(describeCall);
    case "programs":
      if (fix.does !== undefined) return [step(fix.does, fix.does)];
      return fix.argvs.map((argv) => step(`ran ${argv[0]}`, `ran ${argv.map(quote).join(" ")}`));
    case "record": {
      const { network, containerId, ifname } = fix.endpoint.attachment;
      return [step("wrote a record", `wrote the record of ${network}/${containerId}/${ifname}`)];
    }
    case "address":
      return [step(repaired(fix.problem), `${repaired(fix.problem)} ${fix.problem.subject}`)];
    case "reclaim":
      return [step("released a block", `released block ${fix.cidr} of node ${JSON.stringify(fix.node)}`)];
    case "remove":
      return fix.paths.map((path) => step("removed a file", `removed ${path}`));
  }
}

function step(kind: string, text: string): Step {
  return { kind, text };
}

function repaired({ kind }: Problem): string {
  return `repaired ${kind}`;
}

function describeCall({ command, path, attachment }: PluginCall): Step {
  const call = `called ${command} of ${path.slice(path.lastIndexOf("/") + 1)}`;
  if (attachment === undefined) return step(call, call);
  const { network, containerId, ifname } = attachment;
  return step(call, `${call} for ${network}/${containerId}/${ifname}`);
}

/** Continues after a failure: each plugin removes only its own objects. */
async function callAll(cli: Cli, calls: readonly PluginCall[]): Promise<readonly Step[]> {
  const faults: string[] = [];
  for (const call of calls) {
    const fault = faultOfPlugin(await callPlugin(cli, call));
    if (fault !== undefined) faults.push(`${call.command} of ${call.path}: ${fault.message}`);
  }
  if (faults.length > 0) throw new Error(faults.join("; "));
  return calls.map(describeCall);
}

/** Stops at the first failure. */
async function addAll(cli: Cli, calls: readonly ChainCall[]): Promise<readonly Step[]> {
  let result: Readonly<Record<string, unknown>> = {};
  for (const call of calls) {
    const answer = await callPlugin(cli, { ...call, document: { ...call.document, ...result } });
    const fault = faultOfPlugin(answer);
    // The plugin has now recorded this command's request; restore the runtime's.
    restorePart(cli, call);
    if (fault !== undefined) throw new Error(`${call.command} of ${call.path}: ${fault.message}`);
    result = { prevResult: JSON.parse(answer.stdout) };
  }
  return calls.map(describeCall);
}

function restorePart({ sys }: Cli, { part, path, attachment }: ChainCall): void {
  if (part !== undefined) writePart(sys, part);
  else if (attachment !== undefined) removePart(sys, { type: path.slice(path.lastIndexOf("/") + 1), attachment });
}

/** Looks again under the store's lock: an earlier repair may have removed the cause. */
async function repairAddress(
  cli: Cli,
  { problem }: Extract<Fix, { kind: "address" }>,
  graceNs: bigint,
): Promise<readonly Step[]> {
  const facts = await gatherFacts(cli);
  return datastoreOf(cli).exclusively((store) => {
    const snapshot = { ...takeSnapshot(cli, facts), graceNs };
    const fresh = checkIpam(snapshot);
    const known = fresh.problems.filter(({ kind, subject }) => kind === problem.kind && subject === problem.subject);
    if (known.length === 0) return [];
    try {
      return confirmedProblems([{ ...fresh, problems: known }], fresh).map((one) => {
        const done = drive(repair(one, fresh, snapshot), store);
        if (done === undefined) throw new Error(`it needs a manual decision: it ${one.reason}`);
        return step(repaired(one), done);
      });
    } catch (error) {
      if (error instanceof CoreError) throw new Error(error.message);
      throw error;
    }
  });
}

/** Does nothing if an address of the block was assigned since. */
function reclaim(cli: Cli, fix: Extract<Fix, { kind: "reclaim" }>): readonly Step[] {
  return datastoreOf(cli).exclusively((store) => {
    const block = drive(readBlock(fix.cidr), store);
    if (block !== undefined && !isEmpty(block.spec)) return [];
    drive(releaseBlock(fix.node, fix.cidr), store);
    return describeFix(fix);
  });
}

/** No other process writes while the lock is held. */
function removeFiles(cli: Cli, fix: Extract<Fix, { kind: "remove" }>): readonly Step[] {
  return datastoreOf(cli).exclusively(() => {
    for (const path of fix.paths) {
      try {
        cli.sys.removeFile(path);
      } catch (error) {
        if (!isErrno(error, "ENOENT")) throw new Error(messageOf(error));
      }
    }
    return describeFix(fix);
  });
}
