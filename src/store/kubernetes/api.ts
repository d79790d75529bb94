/** The meaning of the API server's answers: objects, conflicts, temporary and permanent refusals. */
import type { Cluster } from "@kubernetes/client-node";
import { type About, Compacted, Unanswered } from "../cluster/backend.ts";
import type { Kind } from "../object.ts";
import { StoreError } from "../store-error.ts";
import type { Raw } from "./resources.ts";
import type { Answer, Call, KubeTransport } from "./transport.ts";

export interface ListBody {
  readonly items: readonly Raw[];
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
}

export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: Raw;
}

/** The object does not exist. */
export const missing = Symbol("missing");
/** The object exists already, or its revision has changed. */
export const conflict = Symbol("conflict");

export interface Api {
  /** Rejects with `Unanswered`, `Compacted` or `StoreError`. */
  call<Body>(call: Call, about: About): Promise<Body | typeof missing | typeof conflict>;
  watch(path: string, about: About, signal: AbortSignal): AsyncIterable<WatchEvent>;
  /** Of the last request. */
  cluster(): Cluster;
  close(): void;
}

/** The API's description of an error. */
interface Status {
  readonly kind: "Status";
  readonly message: string;
  readonly details?: { readonly name?: string };
}

/** The server is busy, or the proxy has no server behind it. */
const passing: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

export function kubernetesApi(transport: KubeTransport): Api {
  return {
    async call<Body>(call: Call, about: About) {
      const answer = await transport.call(call, about);
      const isDone = answer.status >= 200 && answer.status < 300;
      return isDone ? (answer.body as Body) : meaningOf(transport, answer, about);
    },
    async *watch(path, about, signal) {
      for await (const answer of transport.watch(path, about, signal)) {
        if (answer.status !== 200) throw failureOf(transport, answer, about);
        yield answer.body as WatchEvent;
      }
    },
    cluster: () => transport.cluster,
    close: () => transport.close(),
  };
}

function meaningOf(transport: KubeTransport, answer: Answer, about: About): typeof missing | typeof conflict {
  const { status, body } = answer;
  // A server without the resource type also answers 404, but without the name of an object.
  if (status === 404 && isStatus(body) && body.details?.name !== undefined) return missing;
  if (status === 409) return conflict;
  throw failureOf(transport, answer, about);
}

function failureOf(transport: KubeTransport, { status, body }: Answer, { action, object }: About): StoreError {
  const message = isStatus(body) ? body.message : String(body).trim();
  const reason = `API server ${transport.server}: ${status}: ${message}`;
  if (status === 410) return new Compacted(object.kind as Kind, reason);
  if (status === 401) transport.forgetCredentials();
  if (status === 401 || passing.has(status)) return new Unanswered(action, object, reason);
  const advice = status === 404 ? "; are Calico's CustomResourceDefinitions installed?" : "";
  return new StoreError({ action, object, reason: reason + advice });
}

function isStatus(body: unknown): body is Status {
  return typeof body === "object" && body !== null && (body as Partial<Status>).kind === "Status";
}
