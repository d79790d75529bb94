/** Requirements for a plugin's answers. Each function throws `Unmet`, which names the plugin and the command. */
import type { JsonObject } from "../lib/conflist.ts";
import type { CniResult } from "../lib/runtimes/runner.ts";
import { about, Unmet, want } from "./row.ts";
import type { Answer } from "./stage.ts";

export interface CniError {
  readonly cniVersion?: string;
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

export interface Refusal {
  /** The accepted code or codes; any if absent. */
  readonly code?: number | readonly number[];
  /** Texts that message and details must contain together. */
  readonly says?: readonly (string | RegExp)[];
}

/** A refusal has exit code 1 and, on stdout, exactly one JSON object with a code and a message. */
export function refused(answer: Answer, { code, says = [] }: Refusal = {}): CniError {
  return about(answer.asked, () => {
    const { status, signal, stdout } = answer;
    want(signal === undefined && status !== 0, "a refusal", signal ?? `status ${status}, ${stdout}`);
    want(status === 1, "exit status 1", `exit status ${status}: ${stdout}${answer.stderr}`);
    const error = parseObject(stdout, "one JSON object on stdout") as unknown as CniError;
    want(typeof error.code === "number", "a number as the error's code", stdout);
    want(typeof error.msg === "string" && error.msg !== "", "the error's message", stdout);
    const codes = code === undefined ? [] : [code].flat();
    want(codes.length === 0 || codes.includes(error.code), `error ${codes.join(" or ")}`, stdout);
    const text = `${error.msg} ${error.details ?? ""}`;
    for (const word of says) {
      const found = typeof word === "string" ? text.includes(word) : word.test(text);
      want(found, `an error that says ${String(word)}`, stdout);
    }
    return error;
  });
}

export function accepted(answer: Answer): Answer {
  const { status, signal, stdout, stderr } = answer;
  about(answer.asked, () => want(status === 0, "success", `${signal ?? `status ${status}`}: ${stdout}${stderr}`));
  return answer;
}

/** Success without output on stdout. */
export function silent(answer: Answer): void {
  accepted(answer);
  about(answer.asked, () => want(answer.stdout === "", "nothing on stdout", answer.stdout));
}

/** Success with a result on stdout. */
export function resultOf(answer: Answer): CniResult {
  accepted(answer);
  return about(answer.asked, () => parseObject(answer.stdout, "a result on stdout"));
}

/** A success or a refusal, but no crash. Returns whether it was a success. */
export function orderly(answer: Answer): boolean {
  if (answer.status === 0) return true;
  refused(answer);
  return false;
}

function parseObject(text: string, wanted: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Unmet(wanted, text);
  }
  want(typeof value === "object" && value !== null && !Array.isArray(value), wanted, text);
  return value as JsonObject;
}
