/**
 * Requests to the API server, with keep-alive and lossless JSON. The generated client parses bodies with `JSON.parse`, which would change a
 * block's 64-bit sequence numbers.
 */
import { type Agent, type IncomingMessage, request as requestHttp } from "node:http";
import { type RequestOptions, request as requestHttps } from "node:https";
import type { Cluster, KubeConfig } from "@kubernetes/client-node";
import { type About, Unanswered } from "../cluster/backend.ts";
import { parseJson, stringifyJson } from "../json.ts";
import { StoreError } from "../store-error.ts";

export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With the query. */
  readonly path: string;
  readonly body?: object;
  /** Whether a PATCH merges lists by the keys of their items, and does not replace them. */
  readonly isStrategic?: boolean;
  /** Whether the object's metadata is enough of an answer: less for the server to write, and for us to parse. */
  readonly isBrief?: boolean;
  readonly timeoutMs: number;
}

export interface Answer {
  readonly status: number;
  /** A string if the body is not JSON. */
  readonly body: unknown;
}

/** A server that cannot leave the rest out answers with the whole object. */
const onlyMetadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
/** How long credentials are reused; the library renews those that expire sooner. */
const credentialsMs = 10_000;
const maxConnections = 48;
/** A watch gets a bookmark about every minute; a watch that is silent for this long has lost its server. */
const watchTimeoutMs = 150_000;

/** Codes of Node and OpenSSL for a failed TLS handshake on either end. */
const tlsFailure = /^(ERR_(TLS|SSL|OSSL)_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|EPROTO)/;
/** How long requests may continue over connections that are replaced. */
const drainMs = 60_000;

export class KubeTransport {
  readonly #readConfig: () => KubeConfig;
  #config: KubeConfig | undefined;
  #credentials: Promise<RequestOptions> | undefined;
  #askedMs = 0;
  #isClosed = false;
  #agent: { readonly identity: string; readonly agent: Agent } | undefined;

  constructor(readConfig: () => KubeConfig) {
    this.#readConfig = readConfig;
  }

  /** As the configuration describes it; without a URL before the first request. */
  get cluster(): Cluster {
    return this.#config?.getCurrentCluster() ?? { name: "", server: "", skipTLSVerify: false };
  }

  /** The URL of the server, for messages. */
  get server(): string {
    return this.cluster.server;
  }

  /** Rejects with `Unanswered` without an answer in time, with `StoreError` after `close`. Any status is an answer. */
  async call(call: Call, about: About): Promise<Answer> {
    if (this.#isClosed) throw new StoreError({ ...about, reason: "the connections were closed" });
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), call.timeoutMs);
    try {
      const response = await this.#send(call, timeout.signal);
      const text = (await collect(response)).toString();
      return { status: response.statusCode ?? 0, body: parsed(text) };
    } catch (error) {
      const reason = timeout.signal.aborted ? `no answer within ${call.timeoutMs} ms` : (error as Error).message;
      throw this.#unanswered(about, reason, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The documents of a watch, one by one. A status other than 200 is the only answer. */
  async *watch(path: string, about: About, signal: AbortSignal): AsyncGenerator<Answer> {
    const { signal: ended, end } = linked(signal);
    let timer = setTimeout(end, watchTimeoutMs);
    try {
      const response = await this.#send({ method: "GET", path }, ended);
      const status = response.statusCode ?? 0;
      if (status !== 200) return yield { status, body: parsed((await collect(response)).toString()) };
      let rest = "";
      response.setEncoding("utf8");
      for await (const text of response as AsyncIterable<string>) {
        clearTimeout(timer);
        timer = setTimeout(end, watchTimeoutMs);
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) yield { status, body: parseJson(line) };
      }
    } catch (error) {
      throw this.#unanswered(about, (error as Error).message, error);
    } finally {
      clearTimeout(timer);
      end();
    }
  }

  /** After the server rejected our credentials: the next request reads files and runs programs again. */
  forgetCredentials(): void {
    this.#config = undefined;
    this.#credentials = undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#agent?.agent.destroy();
  }

  #unanswered({ action, object }: About, reason: string, cause: unknown): Unanswered {
    const { code } = cause as NodeJS.ErrnoException;
    const { server } = this;
    // Certificates change, so their files are read again.
    if (code !== undefined && tlsFailure.test(code)) this.forgetCredentials();
    return new Unanswered(action, object, `API server${server && ` ${server}`}: ${reason}`, cause);
  }

  async #send(
    { method, path, body, isStrategic = false, isBrief = false }: Omit<Call, "timeoutMs">,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const options = await unlessAborted(this.#identity(), signal);
    const text = body && Buffer.from(stringifyJson(body));
    const type =
      method === "PATCH" ? `application/${isStrategic ? "strategic-" : ""}merge-patch+json` : "application/json";
    const headers = {
      ...options.headers,
      accept: isBrief ? onlyMetadata : "application/json",
      ...(text && { "content-type": type, "content-length": text.length }),
    };
    const url = new URL(this.server + path);
    const request = (url.protocol === "http:" ? requestHttp : requestHttps)(url, {
      ...options,
      method,
      headers,
      signal,
    });
    return await new Promise((resolve, reject) => {
      request.on("response", resolve);
      request.on("error", reject);
      request.end(text);
    });
  }

  /** The cached credentials; read again when they are too old, or when the last attempt to read them has taken too long. */
  async #identity(): Promise<RequestOptions> {
    if (this.#credentials === undefined || Date.now() - this.#askedMs > credentialsMs) {
      this.#askedMs = Date.now();
      this.#credentials = this.#ask();
    }
    try {
      return await this.#credentials;
    } catch (error) {
      this.forgetCredentials();
      throw error;
    }
  }

  async #ask(): Promise<RequestOptions> {
    this.#config ??= this.#readConfig();
    const options: RequestOptions & { headers: Record<string, string> } = { headers: {} };
    await this.#config.applyToHTTPSOptions(options);
    const { Authorization: token } = options.headers;
    // A token's file may end in a new line.
    if (token !== undefined) options.headers.Authorization = token.trim();
    return { ...options, agent: this.#keptAgent(options) };
  }

  /** The library makes an agent for each request; an equal one is replaced by the first, to reuse its connections. */
  #keptAgent({ agent, ca, cert, key, servername, rejectUnauthorized }: RequestOptions): Agent {
    const identity = [this.server, ca, cert, key, servername, rejectUnauthorized].join("\n");
    if (this.#agent?.identity !== identity) {
      const made = agent as Agent & { keepAlive: boolean };
      made.keepAlive = true;
      made.maxSockets = maxConnections;
      const old = this.#agent?.agent;
      this.#agent = { identity, agent: made };
      setTimeout(() => old?.destroy(), drainMs).unref();
    }
    return this.#agent.agent;
  }
}

/** A program that provides tokens may hang. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return await new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Error("no credentials in time")), { once: true });
    promise.then(resolve, reject);
  });
}

function linked(signal: AbortSignal): { readonly signal: AbortSignal; readonly end: () => void } {
  const abort = new AbortController();
  const end = () => {
    signal.removeEventListener("abort", end);
    abort.abort();
  };
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  return { signal: abort.signal, end };
}

async function collect(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function parsed(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return text;
  }
}
