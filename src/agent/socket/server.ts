/**
 * The Unix socket for the plugins of this node: one JSON document in each direction, then the connection is closed.
 *
 *     plugin ── {…} ⏎ or end ──►  handle  ── {…} ⏎ ──► plugin
 *
 * **Only root has access**: the file is created with mode 0600, in a directory with mode 0700. **The size of a request and the time to receive it are
 * bounded**; `handle` bounds the time to answer. **A client that hangs up gets no answer**, but its request runs to the end.
 */
import { once } from "node:events";
import { lstatSync, rmSync, unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export interface SocketOptions {
  readonly path: string;
  /** The answer, written as JSON. **Never rejects**: an error is an answer. */
  readonly handle: (request: RequestText) => Promise<object>;
  /** 1 MiB: a GC lists every attachment of a network. */
  readonly maxBytes?: number;
  /** How long receiving a request may take; 5 s. */
  readonly arrivalMs?: number;
}

/** The request, or why it was refused. */
export type RequestText = { readonly text: string } | { readonly refused: "too large" | "too late" };

export interface ServedSocket {
  /** How many requests are being answered. */
  pending(): number;
  /** Accepts no more requests and waits for those in progress, but no longer than `timeoutMs`. Removes the socket. */
  drain(timeoutMs: number): Promise<void>;
}

const backlogMs = 50;

/** **The caller holds the agent's lock**: an existing socket belongs to an agent that has ended. */
export async function serveSocket({
  path,
  handle,
  maxBytes = 1024 * 1024,
  arrivalMs = 5000,
}: SocketOptions): Promise<ServedSocket> {
  removeStale(path);
  const open = new Set<Socket>();
  const pending = new Set<Promise<void>>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    // The peer may disconnect at any time.
    socket.on("error", () => socket.destroy());
    receive(socket, maxBytes, arrivalMs, (request) => {
      const answering = answer(socket, handle(request)).finally(() => pending.delete(answering));
      pending.add(answering);
    });
  });
  await listen(server, path);
  return {
    pending: () => pending.size,
    async drain(timeoutMs) {
      rmSync(path, { force: true });
      // Clients that connected earlier are still served.
      await sleep(backlogMs);
      server.close();
      await Promise.race([Promise.allSettled(pending), sleep(timeoutMs, undefined, { ref: false })]);
      for (const socket of open) socket.destroy();
    },
  };
}

/** Throws if the file is not a socket. */
function removeStale(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw Object.assign(new Error(`listen ${path}: Address already in use`), { code: "EADDRINUSE" });
  unlinkSync(path);
}

async function listen(server: Server, path: string): Promise<void> {
  const mask = process.umask(0o177);
  try {
    // Node calls bind(2) synchronously.
    server.listen(path);
  } finally {
    process.umask(mask);
  }
  await once(server, "listening");
}

/** Passes one request on, up to the end of the stream or of the line. */
function receive(socket: Socket, maxBytes: number, arrivalMs: number, tell: (request: RequestText) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const timer = setTimeout(() => done({ refused: "too late" }), arrivalMs);
  const done = (request: RequestText) => {
    clearTimeout(timer);
    socket.off("data", onData).off("end", onEnd).off("close", onClose);
    // The rest is ignored, but the kernel discards the answer if any byte is unread.
    socket.resume();
    tell(request);
  };
  const onData = (chunk: Buffer) => {
    const end = chunk.indexOf("\n");
    const part = end < 0 ? chunk : chunk.subarray(0, end);
    bytes += part.length;
    if (bytes > maxBytes) return done({ refused: "too large" });
    chunks.push(part);
    if (end >= 0) done({ text: Buffer.concat(chunks).toString() });
  };
  const onEnd = () => done({ text: Buffer.concat(chunks).toString() });
  const onClose = () => clearTimeout(timer);
  socket.on("data", onData).once("end", onEnd).once("close", onClose);
}

async function answer(socket: Socket, answering: Promise<object>): Promise<void> {
  const text = `${JSON.stringify(await answering)}\n`;
  if (socket.destroyed) return;
  socket.end(text);
}
