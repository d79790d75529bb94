/** The process metrics of Prometheus' own client libraries. */
import { readdirSync } from "node:fs";
import type { Metrics } from "./metrics.ts";

export function addProcessMetrics(metrics: Metrics): void {
  const startSeconds = Date.now() / 1000 - process.uptime();
  metrics.reading("process_start_time_seconds", "gauge", "Start of the process, since the epoch.", () => startSeconds);
  metrics.reading("process_resident_memory_bytes", "gauge", "Memory of the process.", () => process.memoryUsage.rss());
  metrics.reading(
    "process_cpu_seconds_total",
    "counter",
    "CPU time of the process, of the user and of the kernel.",
    () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  );
  metrics.reading("process_open_fds", "gauge", "Open file descriptors.", () => readdirSync("/proc/self/fd").length);
}
