/**
 * Connections to etcd: one channel per endpoint, kept warm, of which one is in use until it fails.
 *
 * Who has a name and a password asks for a token with them, and again when the server does not know it any more.
 */
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { type About, Compacted, Unanswered } from "../cluster/backend.ts";
import type { Kind } from "../object.ts";
import { StoreError } from "../store-error.ts";
import { type AuthenticateResponse, methods, type WatchResponse } from "./protocol.ts";

export interface EtcdSettings {
  /** `https://10.0.0.1:2379`; at least one. */
  readonly endpoints: readonly string[];
  /** PEM. */
  readonly tls?: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
  readonly user?: { readonly name: string; readonly password: string };
}

type Method = MethodDefinition<object, object>;

const channelOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1000,
  // A page of blocks may be larger than gRPC's 4 MiB.
  "grpc.max_receive_message_length": -1,
};

/** Codes after which the request may be made again, here or at another endpoint. */
const passing: ReadonlySet<number> = new Set([
  status.CANCELLED,
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.ABORTED,
  status.INTERNAL,
  status.UNAVAILABLE,
]);

/** What etcd says of a token that it does not know, or that is older than its users. */
const unknownToken: ReadonlySet<number> = new Set([status.UNAUTHENTICATED, status.INVALID_ARGUMENT]);

export class EtcdClient {
  readonly #settings: EtcdSettings;
  readonly #clients: readonly Client[];
  #current = 0;
  #token: Promise<string> | undefined;

  constructor(settings: EtcdSettings) {
    this.#settings = settings;
    this.#clients = settings.endpoints.map((endpoint) => connect(endpoint, settings));
  }

  /** Rejects with `Unanswered` or `StoreError`. */
  async call<Response>(method: "Range" | "Txn", request: object, about: About, timeoutMs: number): Promise<Response> {
    const at = this.#current;
    const metadata = await this.#metadata(about, timeoutMs);
    try {
      return await unary<Response>(this.#client(at), methods.KV[method] as Method, request, metadata, timeoutMs);
    } catch (error) {
      if (!hasCode(error, unknownToken) || this.#settings.user === undefined) throw this.#refusal(error, about, at);
      this.#token = undefined;
      throw new Unanswered(about.action, about.object, error.details, error);
    }
  }

  /** What a watch that begins with `createRequest` says, until it is aborted. Throws as `call` rejects. */
  async *watch(
    createRequest: object,
    about: About,
    signal: AbortSignal,
    timeoutMs: number,
  ): AsyncGenerator<WatchResponse> {
    const at = this.#current;
    const { path, requestSerialize, responseDeserialize } = methods.Watch.Watch as Method;
    const metadata = await this.#metadata(about, timeoutMs);
    const stream = this.#client(at).makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    const cancel = () => stream.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      stream.write({ createRequest });
      yield* stream as AsyncIterable<WatchResponse>;
    } catch (error) {
      throw this.#refusal(error, about, at);
    } finally {
      signal.removeEventListener("abort", cancel);
      stream.cancel();
    }
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  /** An error of gRPC as one of the store. Where an endpoint does not answer, the next one is in use from now on. */
  #refusal(error: unknown, { action, object }: About, at: number): unknown {
    if (!isServiceError(error)) return error;
    const reason = `etcd at ${this.#settings.endpoints[at]}: ${error.details}`;
    if (error.code === status.OUT_OF_RANGE) return new Compacted(object.kind as Kind, reason);
    if (!passing.has(error.code)) return new StoreError({ action, object, reason, cause: error });
    if (this.#current === at) this.#current = (at + 1) % this.#clients.length;
    return new Unanswered(action, object, reason, error);
  }

  async #metadata(about: About, timeoutMs: number): Promise<Metadata> {
    const metadata = new Metadata();
    const { user } = this.#settings;
    if (user === undefined) return metadata;
    const at = this.#current;
    this.#token ??= this.#authenticate(user, at, timeoutMs);
    try {
      metadata.set("token", await this.#token);
      return metadata;
    } catch (error) {
      this.#token = undefined;
      throw this.#refusal(error, about, at);
    }
  }

  async #authenticate(user: object, at: number, timeoutMs: number): Promise<string> {
    const method = methods.Auth.Authenticate as Method;
    return (await unary<AuthenticateResponse>(this.#client(at), method, user, new Metadata(), timeoutMs)).token;
  }

  #client(at: number): Client {
    return this.#clients[at] as Client;
  }
}

function unary<Response>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: Method,
  request: object,
  metadata: Metadata,
  timeoutMs: number,
): Promise<Response> {
  const options: CallOptions = { deadline: Date.now() + timeoutMs };
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      options,
      (error, response) => (error ? reject(error) : resolve(response as Response)),
    );
  });
}

function connect(endpoint: string, { tls }: EtcdSettings): Client {
  const { protocol, hostname, port } = new URL(endpoint);
  return new Client(`${hostname}:${port || 2379}`, credentialsFor(protocol, tls), channelOptions);
}

function credentialsFor(protocol: string, tls: EtcdSettings["tls"] = {}): ChannelCredentials {
  if (protocol !== "https:") return credentials.createInsecure();
  return credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null);
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && typeof (error as Partial<ServiceError>).code === "number" && "details" in error;
}

function hasCode(error: unknown, codes: ReadonlySet<number>): error is ServiceError {
  return isServiceError(error) && codes.has(error.code);
}
