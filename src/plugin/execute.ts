/** Executes another plugin, with this process's environment (except for what the caller changes) and the document on stdin (specification section 4). */
import { CniError, code } from "../cni/error.ts";
import { isErrno, type RunResult, type Sys } from "../host/sys.ts";
import { isObject } from "../schema/schema.ts";
import { DeadlineExceeded } from "./deadline.ts";

/** The limit of a whole operation: `deadline.ts`. */
const timeoutMs = 50_000;

/** How often, and after which pause, to retry an executable that is being replaced (ETXTBSY). */
const busyRetries = 20;
const busyPauseMs = 50;

/**
 * Runs `command` of the plugin at `path` with the document on its stdin. Returns its stdout. Throws the plugin's own error with its code and
 * message; `CniError` 100 if it could not be executed or died, 11 if it did not answer in time.
 */
export function execute(
  sys: Sys,
  path: string,
  command: string,
  document: string,
  environment: Readonly<Record<string, string>> = {},
): string {
  const options = {
    env: { ...sys.environment(), CNI_COMMAND: command, ...environment },
    stdin: document,
    timeoutMs,
  };
  const result = runRetrying(sys, path, options);
  if (result.stderr !== "") toOwnStderr(sys, result.stderr);
  const answered = errorIn(result.stdout);
  if (answered !== undefined) throw answered;
  if (result.status !== 0) throw new CniError(code.refused, `cannot run ${path}: ${wordless(result)}`);
  return result.stdout;
}

function runRetrying(sys: Sys, path: string, options: Parameters<Sys["run"]>[1]): RunResult {
  for (let attempt = 0; ; attempt++) {
    try {
      return sys.run([path], options);
    } catch (error) {
      if (isErrno(error, "ETXTBSY") && attempt < busyRetries) {
        sys.sleepMs(busyPauseMs);
      } else {
        const silent = isErrno(error, "ETIMEDOUT") || error instanceof DeadlineExceeded;
        const reason = silent ? `no answer within ${timeoutMs / 1000} s, killed` : String((error as Error).message);
        throw new CniError(silent ? code.tryAgainLater : code.refused, `cannot run ${path}: ${reason}`);
      }
    }
  }
}

function toOwnStderr(sys: Sys, text: string): void {
  try {
    sys.write("stderr", text);
  } catch {
    // Output on stderr is not an error.
  }
}

/** The error object that a plugin printed, even if its exit code is 0. */
function errorIn(stdout: string): CniError | undefined {
  const answer = parseJson(stdout);
  if (!isObject(answer) || typeof answer.code !== "number" || typeof answer.msg !== "string") return undefined;
  return new CniError(answer.code, answer.msg, typeof answer.details === "string" ? answer.details : undefined);
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The reason of a failure without an error object. */
function wordless({ status, signal, stdout, stderr }: RunResult): string {
  const end = status === undefined ? `killed by signal ${signal}` : `exit status ${status}`;
  const words = (stdout.trim() || stderr.trim()).slice(-200);
  return words === "" ? `${end} without a message` : `${end}: ${words}`;
}
