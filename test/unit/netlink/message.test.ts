import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MalformedError } from "../../../src/netlink/codec/attribute.ts";
import { decodeAck, decodeDatagram, encodeDatagram, NLM_F_ACK, type Reply } from "../../../src/netlink/message.ts";
import { hex, unhex } from "./hex.ts";

describe("encodeDatagram()", () => {
  test("numbers requests, asks for one answer, and aligns all but the rest of the last", () => {
    const requests = [
      { type: 16, flags: NLM_F_ACK, payload: Uint8Array.of(1) },
      { type: 18, flags: 0x300, payload: new Uint8Array() },
    ];
    expect(hex(encodeDatagram(requests, 7))).toBe(
      ["11000000 1000 0100 07000000 00000000 01 000000", "10000000 1200 0103 08000000 00000000"]
        .join("")
        .replaceAll(" ", ""),
    );
  });
});

describe("decodeDatagram()", () => {
  test("gives back type, flags, sequence and payload", () => {
    const datagram = encodeDatagram([{ type: 24, flags: 0, payload: Uint8Array.of(1, 2, 3, 4) }], 9);
    expect(decodeDatagram(datagram)).toEqual([{ type: 24, flags: 1, sequence: 9, payload: Uint8Array.of(1, 2, 3, 4) }]);
  });

  test("ends on any bytes, with messages or a MalformedError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 96 }), (bytes) => {
        try {
          decodeDatagram(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });

  test.each([
    ["no header", "0000", "cannot read netlink message: 2 bytes are too short for a header"],
    ["a length of nothing", "00000000 1000 0000 00000000 00000000", "its length is 0, 16 bytes are left"],
    ["a length beyond the end", "20000000 1000 0000 00000000 00000000", "its length is 32, 16 bytes are left"],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => decodeDatagram(unhex(bytes))).toThrow(message);
  });
});

describe("decodeAck()", () => {
  const reply = (type: number, flags: number, payload: string): Reply => ({
    type,
    flags,
    sequence: 1,
    payload: unhex(payload),
  });
  const request = "30000000 1800 0506 01000000 00000000";

  test.each<[string, Reply, { errno: number; text: string | undefined }]>([
    ["success", reply(2, 0x100, `00000000 ${request}`), { errno: 0, text: undefined }],
    ["an errno", reply(2, 0x100, `edffffff ${request}`), { errno: 19, text: undefined }],
    [
      "the kernel's words (Linux 6.18, a route through a gateway that is not on the link)",
      reply(2, 0x300, `9bffffff ${request} 2000 0100 4e657874686f702068617320696e76616c6964206761746577617900`),
      { errno: 101, text: "Nexthop has invalid gateway" },
    ],
    [
      "the kernel's words behind the whole request",
      reply(2, 0x200, `eaffffff 14000000 1800 0506 01000000 00000000 aabbccdd 0700 0100 6e6f00 00`),
      { errno: 22, text: "no" },
    ],
    ["the end of a dump", reply(3, 2, "00000000"), { errno: 0, text: undefined }],
    ["the end of a dump without a status", reply(3, 2, ""), { errno: 0, text: undefined }],
    ["the end of a dump that failed", reply(3, 2, "fcffffff"), { errno: 4, text: undefined }],
  ])("reads %s", (_, message, ack) => {
    expect(decodeAck(message)).toEqual(ack);
  });

  test("refuses an error that is cut", () => {
    expect(() => decodeAck(reply(2, 0, "edff"))).toThrow(MalformedError);
  });
});
