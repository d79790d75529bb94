import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { awaitGates } from "../../../src/agent/gates.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server that answers with these statuses, one after another, and the last one from then on. */
async function gate(...statuses: readonly number[]): Promise<{ readonly url: string; readonly asked: () => number }> {
  let asked = 0;
  const server = createServer((_, response) => {
    response
      .writeHead(statuses[Math.min(asked++, statuses.length - 1)] ?? 200, { location: "http://127.0.0.1:1/" })
      .end();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/ready`, asked: () => asked };
}

test("awaitGates() returns when each gate has answered with 2xx or 3xx, and follows no redirection", async () => {
  const [ready, moved] = [await gate(204), await gate(302)];
  await awaitGates([ready.url, moved.url]);
  expect([ready.asked(), moved.asked()]).toEqual([1, 1]);
});

test("awaitGates() asks again until a gate opens", async () => {
  const late = await gate(503, 200);
  await awaitGates([late.url]);
  expect(late.asked()).toBe(2);
});

test("awaitGates() names the gate that stays closed, and why", async () => {
  const closed = await gate(500);
  await expect(awaitGates([(await gate(200)).url, closed.url], 500)).rejects.toMatchObject({
    kind: "timeout",
    message: `cannot begin: readiness gate "${closed.url}" did not open within 0.5 s: it answers 500`,
  });
  await expect(awaitGates(["http://127.0.0.1:1/"], 500)).rejects.toThrow("did not open within 0.5 s: ");
});

test.each(["ftp://127.0.0.1/", "nonsense", ""])('awaitGates() refuses "%s" before it asks any', async (url) => {
  const open = await gate(200);
  await expect(awaitGates([open.url, url])).rejects.toMatchObject({ kind: "invalid" });
  expect(open.asked()).toBe(0);
});
