/** A test's own real etcd: on loopback, data on a tmpfs, removed with the test. Tests inspect it through its JSON gateway, not our driver. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { patience } from "../patience.ts";
import { toolDir } from "../suite.ts";
import type { Certificates } from "./certificates.ts";
import { signalServer } from "./freeze.ts";

const program = join(toolDir("etcd-server", "usr/bin", "/usr/bin"), "etcd");

/** The reason why etcd is not available; `undefined` if it is. */
export const etcdIsMissing = existsSync(program)
  ? undefined
  : "there is no etcd: scripts/setup unpacks Debian's etcd-server where there is apt";

export class Etcd {
  readonly endpoint: string;
  /** The URL of its health check, without TLS. */
  readonly #metrics: string;
  readonly #directory: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(directory: string, ports: readonly [number, number, number], args: readonly string[]) {
    const [port, peerPort, metricsPort] = ports;
    this.endpoint = `${args.includes("--trusted-ca-file") ? "https" : "http"}://127.0.0.1:${port}`;
    this.#metrics = `http://127.0.0.1:${metricsPort}`;
    this.#directory = directory;
    const peer = `http://127.0.0.1:${peerPort}`;
    this.#args = [
      ...["--data-dir", directory, "--log-level", "error", "--listen-metrics-urls", this.#metrics],
      ...["--listen-client-urls", this.endpoint, "--advertise-client-urls", this.endpoint],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`],
      ...args,
    ];
  }

  static async start(...args: readonly string[]): Promise<Etcd> {
    const directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "tortie-etcd-"));
    const etcd = new Etcd(directory, [await freePort(), await freePort(), await freePort()], args);
    await etcd.begin();
    return etcd;
  }

  /** Both ends authenticate with certificates. */
  static startSecured({ ca, cert, key }: Certificates): Promise<Etcd> {
    const files = ["--trusted-ca-file", ca, "--cert-file", cert, "--key-file", key];
    return Etcd.start("--client-cert-auth", ...files);
  }

  /** Starts the server on its existing data and waits until it answers. */
  async begin(): Promise<void> {
    const child = spawn(program, this.#args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#process = child;
    let log = "";
    child.stderr.on("data", (bytes: Buffer) => {
      log = (log + bytes.toString()).slice(-2000);
    });
    for (const deadline = Date.now() + 20_000 * patience; !(await this.#isHealthy()); ) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`cannot start etcd: ${log}`);
      await sleep(30);
    }
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    signalServer(this.#process, signal);
  }

  /** Kills the server, as a crash would. Its data stays. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** All keys below the prefix with their values. */
  async dump(prefix = "/calico/"): Promise<Readonly<Record<string, string>>> {
    type Range = { readonly kvs?: readonly { readonly key: string; readonly value?: string }[] };
    const { kvs = [] } = await this.post<Range>("kv/range", range(prefix));
    return Object.fromEntries(kvs.map(({ key, value = "" }) => [decode(key), decode(value)]));
  }

  async put(key: string, value: string): Promise<void> {
    await this.post("kv/put", { key: encode(key), value: encode(value) });
  }

  /** Writes many keys, several in a transaction. */
  async putAll(entries: readonly (readonly [key: string, value: string])[]): Promise<void> {
    const perTransaction = 100;
    for (let at = 0; at < entries.length; at += perTransaction) {
      const puts = entries.slice(at, at + perTransaction);
      const success = puts.map(([key, value]) => ({ request_put: { key: encode(key), value: encode(value) } }));
      await this.post("kv/txn", { success });
    }
  }

  /** The server's own metrics, in Prometheus' text format. */
  async metrics(): Promise<string> {
    return await (await fetch(`${this.#metrics}/metrics`)).text();
  }

  async clear(prefix = "/calico/"): Promise<void> {
    await this.post("kv/deleterange", range(prefix));
  }

  /** Discards all revisions before the current one. */
  async compact(): Promise<void> {
    const { header } = await this.post<{ readonly header: { readonly revision: string } }>("kv/range", range("/"));
    await this.post("kv/compaction", { revision: header.revision, physical: true });
  }

  /** A request to the gateway, below `/v3`. */
  async post<Response>(path: string, body: object): Promise<Response> {
    const response = await fetch(`${this.endpoint}/v3/${path}`, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`etcd: ${path}: ${await response.text()}`);
    return (await response.json()) as Response;
  }

  async #isHealthy(): Promise<boolean> {
    return await fetch(`${this.#metrics}/health`).then(
      async (response) => ((await response.json()) as { readonly health: string }).health === "true",
      () => false,
    );
  }
}

/** A port on which no process listens. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { readonly port: number };
  server.close();
  await once(server, "close");
  return port;
}

function range(prefix: string): object {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end[end.length - 1] ?? 0) + 1;
  return { key: encode(prefix), range_end: end.toString("base64") };
}

function encode(text: string): string {
  return Buffer.from(text).toString("base64");
}

function decode(base64: string): string {
  return Buffer.from(base64, "base64").toString();
}
