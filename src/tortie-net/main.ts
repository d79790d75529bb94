/**
 * `tortie-net`: makes the kernel hold the node agent's plan. It knows no cluster and no datastore.
 *
 *     tortie-net apply < request     once; exit code 1 if something could not be applied
 *     tortie-net serve               until standard input ends
 */
import { NodeExecutor } from "../dataplane/node-executor.ts";
import { CoreError } from "../errors/core-error.ts";
import type { Sys } from "../host/sys.ts";
import { encodeLine, netProtocolVersion } from "../net-protocol/messages.ts";
import { BadRequest, parseRequest } from "../net-protocol/parse.ts";
import { buildText } from "../plugin/answer.ts";
import { refusalOf, reportOf } from "./report.ts";
import { serve } from "./serve.ts";

const maxStdinBytes = 64 << 20;
const stdinTimeoutMs = 60_000;

const usage = `tortie-net: makes the kernel hold the node agent's plan (docs/dataplane.md)

  tortie-net apply   reads a request, a JSON document, from standard input, and prints what was done
  tortie-net serve   reads a request from each line; prints an answer to each, and events
`;

export function runTortieNet(sys: Sys): void {
  sys.exit(run(sys.args().slice(1).join(" "), sys));
}

/** Returns the exit code. */
function run(command: string, sys: Sys): number {
  switch (command) {
    case "serve":
      serve(sys);
      return 0;
    case "apply":
      return apply(sys);
    case "--version":
    case "-v":
      sys.write("stdout", buildText("tortie-net"));
      return 0;
    case "--help":
    case "-h":
      sys.write("stdout", usage);
      return 0;
    default:
      sys.write("stderr", usage);
      return 2;
  }
}

function apply(sys: Sys): number {
  try {
    const request = parseRequest(sys.readStdin(maxStdinBytes, stdinTimeoutMs));
    if (!("plan" in request)) throw new BadRequest("it has no plan; only serve knows changes", request.id);
    const { id } = request;
    const report = reportOf(applyPlan(request.plan, sys));
    sys.write("stdout", encodeLine({ version: netProtocolVersion, ...(id !== undefined && { id }), ...report }));
    return report.failures.length === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    sys.write("stdout", encodeLine(refusalOf(error)));
    return 1;
  }
}

function applyPlan(plan: Parameters<NodeExecutor["apply"]>[0], sys: Sys) {
  const executor = new NodeExecutor(sys);
  try {
    return executor.apply(plan);
  } finally {
    executor.close();
  }
}
