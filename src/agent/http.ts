/** The two small HTTP servers: health for the kubelet, metrics for Prometheus. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { InvalidSetting } from "../store/cluster/settings.ts";
import type { Health } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import type { Listener } from "./settings/read.ts";

interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly text: string;
}

/** By path. */
export type Pages = Readonly<Record<string, () => Answer>>;

/** Liveness: an answer proves that the event loop runs. */
export function healthPages(health: Health): Pages {
  return {
    "/liveness": () => ({ status: 200, text: "alive\n" }),
    "/readiness": () => {
      const reasons = health.reasons();
      if (reasons.length === 0) return { status: 200, text: "ready\n" };
      return { status: 503, text: reasons.map((reason) => `${reason}\n`).join("") };
    },
  };
}

export function metricsPages(metrics: Metrics): Pages {
  return { "/metrics": () => ({ status: 200, type: "text/plain; version=0.0.4", text: metrics.text() }) };
}

/** Rejects with `InvalidSetting`, which names the setting of the port. */
export async function serveHttp({ host, port }: Listener, pages: Pages, setting: string): Promise<Server> {
  const server = createServer((request, response) => {
    const pathname = (request.url ?? "/").replace(/\?.*$/s, "");
    const page = Object.hasOwn(pages, pathname) ? pages[pathname] : undefined;
    const isRead = request.method === "GET" || request.method === "HEAD";
    const answer = page === undefined ? notFound(pages) : isRead ? page() : notAllowed;
    response.writeHead(answer.status, { "content-type": answer.type ?? "text/plain" });
    response.end(request.method === "HEAD" ? undefined : answer.text);
  });
  // A client that does not finish its request loses the connection.
  server.requestTimeout = 5000;
  server.headersTimeout = 5000;
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new InvalidSetting(setting, String(port), `a port that is free (${(error as Error).message})`);
  }
  return server;
}

export function closeHttp(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

const notAllowed: Answer = { status: 405, text: "only GET\n" };

function notFound(pages: Pages): Answer {
  return { status: 404, text: `only ${Object.keys(pages).join(" and ")}\n` };
}
