import { describe, expect, test } from "vitest";
import { NetlinkConnection } from "../../../src/dataplane/connection.ts";
import { littleEndian } from "../../../src/netlink/codec/attribute.ts";
import { AttributeWriter } from "../../../src/netlink/codec/attribute-writer.ts";
import { NLM_F_ACK, NLM_F_DUMP } from "../../../src/netlink/message.ts";
import { sysError } from "../../lib/fake/errno.ts";
import { refusalOf } from "./scene.ts";

const request = { type: 18, flags: NLM_F_ACK, payload: new Uint8Array() };
const dump = { type: 18, flags: NLM_F_DUMP, payload: new Uint8Array() };

describe("exchange()", () => {
  test("gives each request its own answers; success of the last says that of all that were not refused", () => {
    const { connection } = over([[reply(16, 1), ack(2, -19), reply(16, 4)], [ack(4)]]);
    const outcomes = connection.exchange([request, request, request, request]);
    expect(outcomes.map(({ errno, replies }) => [errno, replies.length])).toEqual([
      [0, 1],
      [19, 0],
      [0, 0],
      [0, 1],
    ]);
  });

  test("ends when the last is refused", () => {
    const { connection } = over([[ack(1, -17)], [ack(2, -19)]]);
    expect(connection.exchange([request, request]).map(({ errno }) => errno)).toEqual([17, 19]);
  });

  test("takes no success for granted when answers were dropped: it sends all once more", () => {
    const dropped = sysError("ENOBUFS", "recvfrom", "netlink");
    const { connection, sent } = over([[ack(1)], dropped, [ack(2)], [ack(3, -17)], [ack(4)]]);
    expect(connection.exchange([request, request]).map(({ errno }) => errno)).toEqual([17, 0]);
    expect(sent()).toBe(2);
  });

  test("gives up when answers are dropped again", () => {
    const dropped = sysError("ENOBUFS", "recvfrom", "netlink");
    expect(refusalOf(() => over([dropped, dropped]).connection.exchange([request, request]))).toEqual({
      kind: "refused",
      message: "cannot talk to the kernel: it dropped answers (ENOBUFS)",
    });
  });

  test("passes over what is left of an earlier exchange", () => {
    const { connection } = over([[ack(1)], [ack(1, -19)], [ack(2)]]);
    expect(connection.request(request).errno).toBe(0);
    expect(connection.request(request).errno).toBe(0);
  });

  test("goes on after EINTR", () => {
    expect(over([sysError("EINTR", "recvfrom", "netlink"), [ack(1)]]).connection.request(request).errno).toBe(0);
  });

  test("has an end when the kernel does not answer", () => {
    const silence = sysError("ETIMEDOUT", "recvfrom", "netlink");
    const { connection, timeouts } = over([silence, silence]);
    expect(refusalOf(() => connection.request(request))).toEqual({
      kind: "timeout",
      message: "cannot talk to the kernel: no answer within 10 s",
    });
    expect(timeouts).toEqual([10_000, 10_000]);
  });
});

describe("dump()", () => {
  test("gathers all that comes before the end", () => {
    const { connection, sent } = over([
      [reply(16, 1), reply(16, 1)],
      [reply(16, 1), done(1)],
    ]);
    expect(connection.dump(dump, ["list", "links"])).toHaveLength(3);
    expect(sent()).toBe(1);
  });

  test.each<[string, readonly (readonly Uint8Array[] | Error)[]]>([
    ["the table changed meanwhile", [[reply(16, 1, 0x12)], [done(1)], [reply(16, 2), done(2)]]],
    [
      "the table changed at the end",
      [
        [reply(16, 1), done(1, 0, 0x12)],
        [reply(16, 2), done(2)],
      ],
    ],
    ["answers were dropped", [sysError("ENOBUFS", "recvfrom", "netlink"), [done(1)], [reply(16, 2), done(2)]]],
    ["the dump was interrupted", [[done(1, -4)], [reply(16, 2), done(2)]]],
    ["an earlier dump was not read to its end", [[ack(1, -16)], [reply(16, 1), done(1), reply(16, 2), done(2)]]],
  ])("asks again when %s", (_, received) => {
    const { connection, sent } = over(received);
    expect(connection.dump(dump, ["list", "links"])).toHaveLength(1);
    expect(sent()).toBe(2);
  });

  test("says what the kernel refuses", () => {
    const { connection } = over([[ack(1, -1)]]);
    expect(refusalOf(() => connection.dump(dump, ["list", "links"]))).toEqual({
      kind: "refused",
      message: "cannot list links: Operation not permitted (EPERM)",
    });
  });
});

/** A socket on which these datagrams arrive, or these errors. */
function over(received: readonly (readonly Uint8Array[] | Error)[]) {
  const queue = [...received];
  const timeouts: number[] = [];
  let sends = 0;
  const connection = new NetlinkConnection({
    send: () => {
      sends++;
    },
    receive: (timeoutMs) => {
      timeouts.push(timeoutMs);
      const next = queue.shift();
      if (next === undefined) throw new Error("nothing more arrives");
      if (next instanceof Error) throw next;
      return Uint8Array.from(Buffer.concat(next));
    },
    close: () => {},
  });
  return { connection, timeouts, sent: () => sends };
}

function ack(sequence: number, errno = 0): Uint8Array {
  return message(2, 0x100, sequence, new AttributeWriter().word(errno).word(16).word(0).word(0).word(0).finish());
}

function done(sequence: number, errno = 0, flags = 2): Uint8Array {
  return message(3, flags, sequence, new AttributeWriter().word(errno).finish());
}

function reply(type: number, sequence: number, flags = 2): Uint8Array {
  return message(type, flags, sequence, new Uint8Array(16));
}

function message(type: number, flags: number, sequence: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, littleEndian);
  view.setUint16(4, type, littleEndian);
  view.setUint16(6, flags, littleEndian);
  view.setUint32(8, sequence, littleEndian);
  bytes.set(payload, 16);
  return bytes;
}
