/** What a process has used, by /proc. */
import { readFileSync } from "node:fs";

/** `VmHWM`: at most; `VmRSS`: now. */
export function memoryMiBOf(pid: number, field: "VmHWM" | "VmRSS"): number {
  const [, kib = ""] = new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kib) / 1024);
}

/** proc(5): user and system time, in hundredths of a second. */
export function cpuSecondsOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
