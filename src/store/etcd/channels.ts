/** Connections to etcd: one channel per endpoint, kept open. One is in use until it fails. */
import { type ChannelCredentials, Client, credentials } from "@grpc/grpc-js";
import type { About } from "../cluster/backend.ts";
import { StoreError } from "../store-error.ts";

/** PEM. */
export interface Tls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

export interface Location {
  /** `https://10.0.0.1:2379`; at least one. */
  readonly endpoints: readonly string[];
  /** Certificates change, so they are read again if an endpoint does not answer. */
  readonly readTls?: () => Promise<Tls>;
}

export interface Channel {
  readonly client: Client;
  readonly endpoint: string;
}

const options = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1000,
  // A page of blocks may be larger than gRPC's 4 MiB.
  "grpc.max_receive_message_length": -1,
};

export class Channels {
  readonly #endpoints: readonly string[];
  readonly #readTls: () => Promise<Tls>;
  readonly #open = new Map<string, Channel>();
  #current = 0;
  #tls: Promise<Tls> | undefined;
  #isRenewing = false;
  #isClosed = false;

  constructor({ endpoints, readTls = async () => ({}) }: Location) {
    this.#endpoints = endpoints;
    this.#readTls = readTls;
  }

  /** The channel in use. Rejects with `StoreError` after `close`. */
  async current(about: About): Promise<Channel> {
    this.#tls ??= this.#readTls();
    const tls = await this.#tls;
    if (this.#isClosed) throw new StoreError({ ...about, reason: "the connections were closed" });
    const endpoint = this.#endpoints[this.#current] ?? "";
    const channel = this.#open.get(endpoint) ?? { endpoint, client: connect(endpoint, tls) };
    this.#open.set(endpoint, channel);
    return channel;
  }

  /** Switches to the next endpoint, because this one does not answer. */
  failed({ endpoint }: Channel): void {
    const at = this.#endpoints.indexOf(endpoint);
    if (this.#current === at) this.#current = (at + 1) % this.#endpoints.length;
    void this.#renew();
  }

  close(): void {
    this.#isClosed = true;
    this.#disconnect();
  }

  #disconnect(): void {
    for (const { client } of this.#open.values()) client.close();
    this.#open.clear();
  }

  /** Reconnects if the certificates have changed. Keeps the old ones while the files cannot be read. */
  async #renew(): Promise<void> {
    if (this.#isRenewing) return;
    this.#isRenewing = true;
    try {
      const [before, now] = [await this.#tls, await this.#readTls()];
      if (isSame(before ?? {}, now)) return;
      this.#tls = Promise.resolve(now);
      this.#disconnect();
    } catch {
      // The next failure retries.
    } finally {
      this.#isRenewing = false;
    }
  }
}

function connect(endpoint: string, tls: Tls): Client {
  const { protocol, hostname, port } = new URL(endpoint);
  return new Client(`${hostname}:${port || 2379}`, credentialsFor(protocol, tls), options);
}

function credentialsFor(protocol: string, { ca, cert, key }: Tls): ChannelCredentials {
  if (protocol !== "https:") return credentials.createInsecure();
  return credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
}

function isSame(one: Tls, other: Tls): boolean {
  return (["ca", "cert", "key"] as const).every((part) => String(one[part]) === String(other[part]));
}
