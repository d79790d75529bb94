/**
 * Requests to etcd, and the meaning of its errors.
 *
 * With a user name and a password, the client requests a token, and a new one if the server rejects it.
 */
import { type CallOptions, Metadata, type MethodDefinition, type ServiceError, status } from "@grpc/grpc-js";
import { type About, Compacted, Unanswered } from "../cluster/backend.ts";
import type { Kind } from "../object.ts";
import { StoreError } from "../store-error.ts";
import { type Channel, Channels, type Location } from "./channels.ts";
import { type AuthenticateResponse, methods, type WatchResponse } from "./protocol.ts";

export interface EtcdSettings extends Location {
  readonly user?: { readonly name: string; readonly password: string };
}

type Method = MethodDefinition<object, object>;

/** Codes after which the request may be retried, here or at another endpoint. */
const passing: ReadonlySet<number> = new Set([
  status.CANCELLED,
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.ABORTED,
  status.INTERNAL,
  status.UNAVAILABLE,
]);

/** etcd's codes for a token that it does not know, or that is older than its users. */
const unknownToken: ReadonlySet<number> = new Set([status.UNAUTHENTICATED, status.INVALID_ARGUMENT]);

export class EtcdClient {
  readonly #user: EtcdSettings["user"];
  readonly #channels: Channels;
  #token: Promise<string> | undefined;

  constructor(settings: EtcdSettings) {
    this.#user = settings.user;
    this.#channels = new Channels(settings);
  }

  /** Rejects with `Unanswered`, `Compacted` or `StoreError`. */
  async call<Response>(
    method: "Range" | "Txn" | "LeaseGrant",
    request: object,
    about: About,
    timeoutMs: number,
  ): Promise<Response> {
    const definition = method === "LeaseGrant" ? methods.Lease.LeaseGrant : methods.KV[method];
    const channel = await this.#channels.current(about);
    const metadata = await this.#metadata(channel, about, timeoutMs);
    try {
      return await unary<Response>(channel, definition as Method, request, metadata, timeoutMs);
    } catch (error) {
      if (!hasCode(error, unknownToken) || this.#user === undefined) throw this.#refusal(error, about, channel);
      this.#token = undefined;
      throw new Unanswered(about.action, about.object, error.details, error);
    }
  }

  /** The responses of a watch that starts with `createRequest`, until it is aborted. Throws what `call` rejects with. */
  async *watch(
    createRequest: object,
    about: About,
    signal: AbortSignal,
    timeoutMs: number,
  ): AsyncGenerator<WatchResponse> {
    const { path, requestSerialize, responseDeserialize } = methods.Watch.Watch as Method;
    const channel = await this.#channels.current(about);
    const metadata = await this.#metadata(channel, about, timeoutMs);
    const stream = channel.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    const cancel = () => stream.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      stream.write({ createRequest });
      yield* stream as AsyncIterable<WatchResponse>;
    } catch (error) {
      throw this.#refusal(error, about, channel);
    } finally {
      signal.removeEventListener("abort", cancel);
      stream.cancel();
    }
  }

  close(): void {
    this.#channels.close();
  }

  /** Converts an error of gRPC to a `StoreError`. */
  #refusal(error: unknown, { action, object }: About, channel: Channel): unknown {
    if (!isServiceError(error)) return error;
    const reason = `etcd at ${channel.endpoint}: ${error.details}`;
    if (error.code === status.OUT_OF_RANGE) return new Compacted(object.kind as Kind, reason);
    if (!passing.has(error.code)) return new StoreError({ action, object, reason, cause: error });
    this.#channels.failed(channel);
    return new Unanswered(action, object, reason, error);
  }

  async #metadata(channel: Channel, about: About, timeoutMs: number): Promise<Metadata> {
    const metadata = new Metadata();
    if (this.#user === undefined) return metadata;
    this.#token ??= authenticate(channel, this.#user, timeoutMs);
    try {
      metadata.set("token", await this.#token);
      return metadata;
    } catch (error) {
      this.#token = undefined;
      throw this.#refusal(error, about, channel);
    }
  }
}

async function authenticate(channel: Channel, user: object, timeoutMs: number): Promise<string> {
  const method = methods.Auth.Authenticate as Method;
  return (await unary<AuthenticateResponse>(channel, method, user, new Metadata(), timeoutMs)).token;
}

function unary<Response>(
  { client }: Channel,
  { path, requestSerialize, responseDeserialize }: Method,
  request: object,
  metadata: Metadata,
  timeoutMs: number,
): Promise<Response> {
  const options: CallOptions = { deadline: Date.now() + timeoutMs };
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, response?: object) =>
      error ? reject(error) : resolve(response as Response);
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, done);
  });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && typeof (error as Partial<ServiceError>).code === "number" && "details" in error;
}

function hasCode(error: unknown, codes: ReadonlySet<number>): error is ServiceError {
  return isServiceError(error) && codes.has(error.code);
}
