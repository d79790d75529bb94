/** Signals that stop a server and let it go on. */
import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const limitMs = 5000;

/** After SIGSTOP it waits until every thread has stopped: kill(2) returns earlier, and a busy server would still answer. */
export function signalServer(child: ChildProcess | undefined, signal: "SIGSTOP" | "SIGCONT"): void {
  if (child?.pid === undefined) return;
  child.kill(signal);
  const deadline = performance.now() + limitMs;
  while (signal === "SIGSTOP" && !isStopped(child.pid)) {
    if (performance.now() > deadline) throw new Error(`process ${child.pid} did not stop`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  }
}

/** By proc(5): the state follows the name of the thread, which is in parentheses. */
function isStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => {
    try {
      const text = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
      return text.slice(text.lastIndexOf(")") + 2).startsWith("T");
    } catch {
      // The thread has ended.
      return true;
    }
  });
}
