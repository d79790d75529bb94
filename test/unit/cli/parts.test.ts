import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { finder } from "../../../src/cli/ipam/range.ts";
import { redirectedSys } from "../../../src/cli/node/redirected-sys.ts";
import { formatDocument, parseDocuments } from "../../../src/cli/resources/document-text.ts";
import { stderrProgress } from "../../../src/cli/ui/progress.ts";
import { borderless, renderBoxed } from "../../../src/cli/ui/table.ts";
import { terminalOf } from "../../../src/cli/ui/terminal.ts";
import { nodeSys } from "../../../src/host/node/node.ts";
import { bigIntToAddress } from "../../../src/net/address.ts";
import { contains, maskPrefix } from "../../../src/net/prefix.ts";

describe("boxed(), borderless()", () => {
  const table = {
    columns: [{ title: "NAME" }, { title: "COUNT", align: "right" as const }],
    rows: [["a-long-name", "1"]],
  };

  test("align cells; without borders each cell is padded, and an empty line follows", () => {
    expect(renderBoxed(table)).toBe(`\
+-------------+-------+
| NAME        | COUNT |
+-------------+-------+
| a-long-name |     1 |
+-------------+-------+
`);
    expect(borderless(table)).toBe("NAME          COUNT   \na-long-name       1   \n\n");
  });

  test("of no rows are a head", () => {
    expect(renderBoxed({ ...table, rows: [] }).split("\n")).toHaveLength(4);
  });
});

describe("formatDocument(), parseDocuments()", () => {
  const value = fc.letrec((tie) => ({
    leaf: fc.oneof(fc.string(), fc.boolean(), fc.constant(null), fc.integer(), fc.bigInt(2n ** 60n, 2n ** 63n)),
    node: fc.oneof(
      { maxDepth: 3 },
      tie("leaf"),
      fc.array(tie("node")),
      fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), tie("node")),
    ),
  })).node;

  test.each(["json", "yaml"] as const)("as %s: what is written is read back, integers of any size exact", (format) => {
    fc.assert(
      fc.property(value, (spec) => {
        expect(parseDocuments(formatDocument({ spec }, format))).toEqual([withoutNegativeZero({ spec })]);
      }),
    );
  });

  test("several documents", () => {
    expect(parseDocuments("a: 1\n---\n---\nb: 2\n")).toEqual([{ a: 1 }, { b: 2 }]);
  });
});

describe("finder()", () => {
  test("finds the range that holds a prefix, as a look at all of them does", () => {
    const prefix = fc
      .tuple(fc.nat(0xffff), fc.integer({ min: 18, max: 30 }))
      .map(([offset, length]) => maskPrefix(`${bigIntToAddress((10n << 24n) + BigInt(offset), 4)}/${length}`));
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 20 }), prefix, (some, wanted) => {
        const apart = some.filter(
          (cidr, at) => !some.slice(0, at).some((other) => contains(other, cidr) || contains(cidr, other)),
        );
        const items = apart.map((cidr) => ({ cidr }));
        expect(finder(items)(wanted)).toEqual(items.find(({ cidr }) => contains(cidr, wanted)));
      }),
    );
  });
});

describe("terminalOf()", () => {
  test.each([
    [{}, {}, { isTerminal: false, columns: 80, colours: false }],
    [{ isTTY: true, columns: 120 }, {}, { isTerminal: true, columns: 120, colours: true }],
    [
      { isTTY: true, columns: 120 },
      { NO_COLOR: "1", COLUMNS: "90" },
      { isTerminal: true, columns: 90, colours: false },
    ],
    [{ isTTY: true, columns: 120 }, { NO_COLOR: "" }, { isTerminal: true, columns: 120, colours: true }],
    [{ isTTY: true }, { TERM: "dumb", COLUMNS: "x" }, { isTerminal: true, columns: 80, colours: false }],
  ])("%j with %j", (stream, environment, terminal) => {
    expect(terminalOf(stream, environment)).toEqual(terminal);
  });
});

describe("stderrProgress()", () => {
  function watched(isTerminal: boolean) {
    let now = 0;
    let written = "";
    const progress = stderrProgress((text) => (written += text), { isTerminal, nowMs: () => now });
    return { progress, pass: (ms: number) => (now += ms), text: () => written };
  }

  test("says nothing within the first second", () => {
    const { progress, pass, text } = watched(true);
    progress.begin("reading", 2);
    pass(900);
    progress.tick();
    progress.end();
    expect(text()).toBe("");
  });

  test("overwrites one line on a terminal and removes it", () => {
    const { progress, pass, text } = watched(true);
    progress.begin("reading", 3);
    for (const ms of [1001, 50, 60]) {
      pass(ms);
      progress.tick();
    }
    progress.end();
    expect(text()).toBe("\r\x1b[Ktortie: reading: 1 of 3\r\x1b[Ktortie: reading: 3 of 3\r\x1b[K");
  });

  test("says nothing within five seconds elsewhere, and then one line a second", () => {
    const { progress, pass, text } = watched(false);
    progress.begin("reading");
    for (const ms of [4999, 2, 500, 501]) {
      pass(ms);
      progress.tick();
    }
    progress.end();
    expect(text()).toBe("tortie: reading: 2\ntortie: reading: 4\n");
  });
});

describe("redirectedSys()", () => {
  test("moves the store's directories and nothing else", () => {
    const seen: string[] = [];
    const stat = (path: string) => {
      seen.push(path);
      return undefined;
    };
    const sys = redirectedSys({ ...nodeSys, stat }, { run: "/a", state: "/b" }, () => undefined);
    for (const path of ["/run/tortie", "/run/tortie/x", "/run/tortie2", "/var/lib/tortie/y", "/etc"]) sys.stat(path);
    expect(seen).toEqual(["/a", "/a/x", "/run/tortie2", "/b/y", "/etc"]);
  });
});

/** Negative zero after a round trip through JSON. */
function withoutNegativeZero(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (Array.isArray(value)) return value.map(withoutNegativeZero);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutNegativeZero(item)]));
}
