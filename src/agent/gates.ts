/**
 * Calico's readiness gates: an ADD waits until each of some URLs answers, for example that of a program that enforces policy.
 *
 * They are tried at once and then every second, together (Calico's plugin waits 5 s before each try), for at most 30 s.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CoreError } from "../errors/core-error.ts";

class BadGate extends CoreError {
  override readonly name = "BadGate";
  readonly kind = "invalid";

  constructor(url: string) {
    super(`cannot use readiness gate "${url}": it is not a URL of http or https`);
  }
}

class ClosedGate extends CoreError {
  override readonly name = "ClosedGate";
  readonly kind = "timeout";

  constructor(url: string, reason: string, ms: number) {
    super(`cannot begin: readiness gate "${url}" did not open within ${ms / 1000} s: ${reason}`);
  }
}

const maxMs = 30_000;
const tryMs = 5000;
const pauseMs = 1000;

/** Resolves when each URL has answered with a status of 2xx or 3xx; rejects with `BadGate` at once, with `ClosedGate` after `mostMs` or 30 s. */
export async function awaitGates(urls: readonly string[], mostMs = maxMs): Promise<void> {
  const ms = Math.min(mostMs, maxMs);
  for (const url of urls) if (!/^https?:$/.test(protocolOf(url))) throw new BadGate(url);
  const deadline = performance.now() + ms;
  await Promise.all(urls.map((url) => awaitGate(url, deadline, ms)));
}

function protocolOf(url: string): string {
  try {
    return new URL(url).protocol;
  } catch {
    return "";
  }
}

async function awaitGate(url: string, deadline: number, ms: number): Promise<void> {
  for (;;) {
    const reason = await tryGate(url, Math.min(tryMs, deadline - performance.now()));
    if (reason === undefined) return;
    if (performance.now() + pauseMs > deadline) throw new ClosedGate(url, reason, ms);
    await sleep(pauseMs);
  }
}

/** Why it is closed; `undefined`: it is open. */
async function tryGate(url: string, timeoutMs: number): Promise<string | undefined> {
  try {
    const { status } = await fetch(url, {
      redirect: "manual",
      signal: AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs))),
    });
    return status >= 200 && status < 400 ? undefined : `it answers ${status}`;
  } catch (error) {
    const { message, cause } = error as Error;
    return cause instanceof Error ? cause.message : message;
  }
}
