import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type RequestText,
  type ServedSocket,
  type SocketOptions,
  serveSocket,
} from "../../../src/agent/socket/server.ts";

let directory: string;
let path: string;
let served: ServedSocket | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tortie-socket-"));
  path = join(directory, "node.sock");
});
afterEach(async () => {
  await served?.drain(0);
  served = undefined;
  rmSync(directory, { recursive: true });
});

const echo = async (request: RequestText) => ({ got: request });

async function serve(options: Partial<SocketOptions> = {}): Promise<void> {
  served = await serveSocket({ path, handle: echo, ...options });
}

async function ask(...parts: readonly string[]): Promise<unknown> {
  const socket = connect(path);
  for (const part of parts) {
    socket.write(part);
    await sleep(5);
  }
  socket.end();
  return JSON.parse(await text(socket));
}

describe("serveSocket()", () => {
  test("answers a document that ends with the stream, or with its line", async () => {
    await serve();
    expect(await ask('{"a":1}')).toEqual({ got: { text: '{"a":1}' } });
    const socket = connect(path);
    socket.write('{"a":2}\n{"b":3}\n');
    expect(await text(socket)).toBe('{"got":{"text":"{\\"a\\":2}"}}\n');
  });

  test("a document comes in pieces, through the middle of a character", async () => {
    await serve();
    const bytes = Buffer.from('{"a":"ä"}\n');
    const socket = connect(path);
    for (const byte of bytes) {
      socket.write(Buffer.of(byte));
      await sleep(1);
    }
    expect(JSON.parse(await text(socket))).toEqual({ got: { text: '{"a":"ä"}' } });
  });

  test("is root's alone", async () => {
    await serve();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("what is too large or too late is refused, and answered all the same", async () => {
    await serve({ maxBytes: 10, arrivalMs: 500 });
    expect(await ask("x".repeat(11))).toEqual({ got: { refused: "too large" } });
    const socket = connect(path);
    socket.write("{");
    expect(JSON.parse(await text(socket))).toEqual({ got: { refused: "too late" } });
    expect(await ask("0123456789")).toEqual({ got: { text: "0123456789" } });
  });

  test("many at once are answered each with its own", async () => {
    await serve({
      handle: async (request) => {
        await sleep(Math.random() * 20);
        return { got: request };
      },
    });
    const texts = Array.from({ length: 100 }, (_, index) => `{"n":${index}}`);
    expect(await Promise.all(texts.map((one) => ask(one)))).toEqual(texts.map((one) => ({ got: { text: one } })));
  });

  test("survives a client that hangs up", async () => {
    let answer = (): void => {};
    const isHungUp = new Promise<void>((resolve) => {
      answer = resolve;
    });
    await serve({ handle: () => isHungUp.then(() => ({ late: true })) });
    const socket = connect(path);
    socket.write("{}\n");
    await expect.poll(() => served?.pending()).toBe(1);
    socket.destroy();
    await once(socket, "close");
    answer();
    await expect.poll(() => served?.pending()).toBe(0);
    expect(await ask("{}")).toEqual({ late: true });
  });

  test("a socket that an earlier agent left is replaced, anything else is not", async () => {
    const earlier = createServer();
    await new Promise<void>((resolve) => earlier.listen(path, resolve));
    await serve();
    expect(await ask("{}")).toEqual({ got: { text: "{}" } });
    earlier.close();
    const file = join(directory, "file");
    writeFileSync(file, "");
    await expect(serveSocket({ path: file, handle: echo })).rejects.toThrow("Address already in use");
    expect(existsSync(file)).toBe(true);
  });
});

describe("drain()", () => {
  const slowly = (ms: number) => async () => {
    await sleep(ms);
    return { done: true };
  };

  test("waits for what is being answered, takes nothing new, and removes the socket", async () => {
    await serve({ handle: slowly(100) });
    const asked = ask("{}");
    await sleep(30);
    const drained = served?.drain(5000);
    expect(existsSync(path)).toBe(false);
    expect(await asked).toEqual({ done: true });
    await drained;
  });

  test("waits no longer than its time limit", async () => {
    await serve({ handle: slowly(1000) });
    const socket = connect(path);
    socket.write("{}\n");
    await sleep(30);
    const start = performance.now();
    await served?.drain(50);
    expect(performance.now() - start).toBeLessThan(500);
    expect(await text(socket)).toBe("");
  });
});
