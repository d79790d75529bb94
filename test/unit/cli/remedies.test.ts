/** Commands that messages recommend: the program accepts each, and does not refuse what it recommends. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { selectPools } from "../../../src/ipam/assign/pool-selection.ts";
import { listPools, type Pool } from "../../../src/ipam/model/pool.ts";
import { familyOf } from "../../../src/net/address.ts";
import { callsIn, faultOfWords, faultsOfRemedy } from "./command-lines.ts";
import { World } from "./world.ts";

const base = { kind: "IPPool", apiVersion: "projectcalico.org/v3" };

/** The error for a requested pool that does not exist. */
function refusal(world: World, cidr: string): string {
  const scope = { node: "node-1", nodeLabels: {}, namespaceLabels: undefined };
  try {
    selectPools(world.drive(listPools()), { family: familyOf(cidr), pools: [cidr] }, scope);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error(`pool ${cidr} was not refused`);
}

function poolsOf(world: World): readonly Pool[] {
  return world.drive(listPools()).pools;
}

/** A node with these pools. */
async function withPools(...specs: readonly object[]): Promise<World> {
  const world = new World().withNode();
  for (const [index, spec] of specs.entries()) {
    const text = JSON.stringify({ ...base, metadata: { name: `pool-${index}` }, spec });
    expect((await world.run("apply -f -", text)).stderr).toBe("");
  }
  return world;
}

describe("tortie doctor: a configured pool that does not exist", () => {
  test.each(["10.9.0.0/16", "10.9.0.0/28", "fd00:9::/64", "fd00:9::8/125", "fd00:9::8:0/128"])(
    "%s is there when the command of the message was pasted",
    async (cidr) => {
      const world = await withPools({ cidr: "10.8.0.0/16" }, { cidr: "fd00:8::/64" });
      const message = refusal(world, cidr);
      // A runtime logs it in double quotes.
      const command = /echo '[^"\\']*' \| tortie apply -f -$/.exec(message)?.[0] ?? "";
      expect(callsIn(command)).toEqual([["apply", "-f", "-"]]);
      const document = /'([^']*)'/.exec(command)?.[1] ?? "";
      expect(await world.run("apply -f -", `${document}\n`)).toMatchObject({ status: 0, stderr: "" });
      expect(poolsOf(world).filter((pool) => pool.cidr === cidr)).toHaveLength(1);
    },
  );

  test.each([
    ["10.8.4.0/24", { cidr: "10.8.0.0/16" }],
    ["10.0.0.0/8", { cidr: "10.8.0.0/16", disabled: true }],
    ["fd00:8::/80", { cidr: "fd00:8::/64" }],
  ])("%s is not recommended where it overlaps with a pool, for apply would refuse it", async (cidr, spec) => {
    const world = await withPools(spec);
    const message = refusal(world, cidr);
    expect(message).toMatch(/; it overlaps with pool "pool-0", \S+: use that pool, or a range outside it$/);
    expect(message).not.toContain("apply");
  });

  test("that is disabled is enabled by the command of the message", async () => {
    const world = await withPools({ cidr: "10.9.0.0/24", disabled: true });
    const command = /enable it: (.*)$/.exec(refusal(world, "10.9.0.0/24"))?.[1] ?? "";
    expect(command).not.toMatch(/["\\]/);
    const [get = [], apply = []] = callsIn(command);
    const { stdout } = await world.run(get);
    expect(await world.run(apply, stdout.replace("disabled: true", "disabled: false"))).toMatchObject({ status: 0 });
    expect(poolsOf(world)).toMatchObject([{ cidr: "10.9.0.0/24", disabled: false }]);
  });
});

/** The string literals of the sources, without comments and without completion scripts, which are for shells. */
function commandsInSources(): readonly string[] {
  const files = ["src", "plugins"].flatMap((root) =>
    (readdirSync(root, { recursive: true }) as string[])
      .filter((name) => name.endsWith(".ts") && !name.includes("completion/"))
      .map((name) => join(root, name)),
  );
  const lines = files.flatMap((file) => readFileSync(file, "utf8").split("\n"));
  const texts = lines.filter((line) => !/^\s*(\*|\/\/|\/\*)/.test(line));
  const command = /(?<![\w$/."-])tortie((?: (?:--?[a-z][a-z-]*(?:=[\w.]+)?|-|[a-z][a-z/-]*|\$\{[^}]*\}))+)/g;
  return [...new Set(texts.flatMap((line) => [...line.matchAll(command)].map(([, words = ""]) => words.trim())))];
}

describe("commands in the texts of the sources", () => {
  const commands = commandsInSources();

  test("are found", () => {
    expect(commands.length).toBeGreaterThan(15);
    expect(commands).toContain("apply -f -");
  });

  test.each(commands)("tortie %s: is understood as far as its last option", async (text) => {
    const words = text.replace(/\$\{[^}]*\}/g, "x").split(" ");
    const last = Math.max(...words.map((word, index) => (word.startsWith("-") ? index : -1)));
    // The rest may belong to the sentence.
    const lengths = words.map((_, index) => words.length - index).filter((length) => length > last);
    const faults = await Promise.all(lengths.map((length) => faultOfWords(words.slice(0, length))));
    expect(faults.includes(undefined) ? undefined : faults.at(-1)).toBeUndefined();
  });
});

test("a line that no shell reads, or that the program does not understand, is told", async () => {
  expect(
    await faultsOfRemedy("# words's for people\nip link del x; tortie doctor --fix --only a   # and more"),
  ).toEqual([]);
  expect(await faultsOfRemedy("tortie doctr --fix")).toHaveLength(1);
  expect(await faultsOfRemedy("echo x | tortie apply -f - || tortie get nope")).toEqual([]);
  await expect(faultsOfRemedy("echo 'x")).rejects.toThrow(/no shell reads/);
});
