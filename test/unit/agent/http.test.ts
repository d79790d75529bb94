import type { Server } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, test } from "vitest";
import { Health } from "../../../src/agent/health.ts";
import { closeHttp, healthPages, metricsPages, type Pages, serveHttp } from "../../../src/agent/http.ts";
import { Metrics } from "../../../src/agent/metrics.ts";
import { addProcessMetrics } from "../../../src/agent/process-metrics.ts";

let server: Server | undefined;

afterEach(async () => {
  if (server !== undefined) await closeHttp(server);
  server = undefined;
});

async function serve(pages: Pages): Promise<number> {
  server = await serveHttp({ host: "127.0.0.1", port: 0 }, pages, "FELIX_HEALTHPORT");
  return (server.address() as { readonly port: number }).port;
}

describe("Health", () => {
  test("says what is not ready, and that the process is alive", async () => {
    const health = new Health();
    health.set("start", "not done");
    const port = await serve(healthPages(health));
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return [response.status, await response.text()];
    };
    expect(await get("/readiness")).toEqual([503, "start: not done\n"]);
    expect(await get("/liveness")).toEqual([200, "alive\n"]);
    health.set("start", undefined);
    expect(await get("/readiness?verbose")).toEqual([200, "ready\n"]);
    expect(await get("/")).toEqual([404, "only /liveness and /readiness\n"]);
    expect(await get("/constructor")).toEqual([404, "only /liveness and /readiness\n"]);
  });

  test("no request ends the server", async () => {
    const port = await serve(healthPages(new Health()));
    for (const request of ["GET // HTTP/1.0\r\n\r\n", "nonsense\r\n\r\n", "POST /liveness HTTP/1.0\r\n\r\n"]) {
      const socket = connect(port, "127.0.0.1");
      socket.end(request);
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 4/);
    }
    expect((await fetch(`http://127.0.0.1:${port}/readiness`)).status).toBe(200);
  });

  test("a port that is taken is named by its setting", async () => {
    const port = await serve(healthPages(new Health()));
    const second = serveHttp({ host: "127.0.0.1", port }, {}, "FELIX_HEALTHPORT");
    await expect(second).rejects.toThrow(`FELIX_HEALTHPORT="${port}"`);
  });
});

test("Metrics omits a value that cannot be read and keeps the others", () => {
  const metrics = new Metrics();
  let isBroken = false;
  metrics.reading("memory_bytes", "gauge", "Memory.", () => {
    if (isBroken) throw Object.assign(new Error("uv_resident_set_memory"), { code: "ENOENT" });
    return 1;
  });
  metrics.reading("other", "gauge", "Other.", () => 2);
  expect(metrics.text()).toContain("\nmemory_bytes 1\n");
  isBroken = true;
  expect(metrics.text()).not.toContain("\nmemory_bytes ");
  expect(metrics.text()).toContain("\nother 2\n");
});

test("Metrics writes Prometheus' format", async () => {
  const metrics = new Metrics();
  const count = metrics.counter("requests_total", "Requests.");
  count({ operation: 'a"b\\' });
  count({ operation: 'a"b\\' });
  metrics.histogram("seconds", "Time.")(0.03, { operation: "x" });
  addProcessMetrics(metrics);
  const port = await serve(metricsPages(metrics));
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
  const lines = (await response.text()).split("\n");
  expect(lines).toEqual(
    expect.arrayContaining([
      "# TYPE requests_total counter",
      'requests_total{operation="a\\"b\\\\"} 2',
      'seconds_bucket{operation="x",le="0.025"} 0',
      'seconds_bucket{operation="x",le="0.05"} 1',
      'seconds_bucket{operation="x",le="+Inf"} 1',
      'seconds_sum{operation="x"} 0.03',
      'seconds_count{operation="x"} 1',
      "# TYPE process_cpu_seconds_total counter",
      expect.stringMatching(/^process_resident_memory_bytes \d+$/),
    ]),
  );
});
