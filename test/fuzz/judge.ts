/** The contract of every call of a plugin, whatever its input. */
import { CniError, code } from "../../src/cni/error.ts";

export class Finding extends Error {
  override readonly name = "Finding";
}

/** Runs `body`. Errors of these classes are answers; any other error is a finding and is thrown. */
export function tolerate(expected: readonly (abstract new (...args: never[]) => Error)[], body: () => void): void {
  try {
    body();
  } catch (error) {
    if (!expected.some((one) => error instanceof one)) throw error;
    if (error instanceof CniError && error.code === code.internal) throw error;
  }
}

/** One JSON document or nothing on success, one error object on failure, and never the code of a bug. */
export function checkAnswer(status: number, stdout: string): void {
  if (status === 0) {
    if (stdout !== "") JSON.parse(stdout);
    return;
  }
  const answer = JSON.parse(stdout) as { readonly code?: unknown; readonly msg?: unknown };
  if (typeof answer.code !== "number" || typeof answer.msg !== "string" || answer.msg === "") {
    throw new Finding(`not an error object: ${stdout}`);
  }
  if (answer.code === code.internal) throw new Finding(`a bug's code: ${stdout}`);
}

/** Both as JSON: bigints as their digits. */
export function requireSame(what: string, one: unknown, other: unknown): void {
  const [left, right] = [textOf(one), textOf(other)];
  if (left !== right) throw new Finding(`${what}: ${left.slice(0, 400)} is not ${right.slice(0, 400)}`);
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `${one}n` : one)) ?? "undefined";
}
