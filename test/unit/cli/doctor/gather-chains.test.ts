import { expect, test } from "vitest";
import type { Cli } from "../../../../src/cli/cli.ts";
import { gatherChains } from "../../../../src/cli/doctor/reach/gather-chains.ts";
import { agentTables } from "../../../../src/identity/names.ts";

const chainOf = (family: string, table: string) => ({
  chain: { family, table, name: "forward", handle: 1, type: "filter", hook: "forward", prio: 0, policy: "accept" },
});
const missing = Object.assign(new Error("no such program"), { code: "ENOENT" });

/** Of a node without iptables, where nft lists these chains. */
function cliWith(chains: readonly object[], asked: string[]): Cli {
  return {
    program: async (argv: readonly string[]) => {
      asked.push(argv.join(" "));
      return JSON.stringify({ nftables: chains });
    },
    execute: async () => {
      throw missing;
    },
    sys: { readFile: () => "" },
  } as unknown as Cli;
}

test("the tables of plugins and agent are no foreign rules: no lost packet is theirs", async () => {
  const names = ["tortie", "tortie_portmap", ...Object.values(agentTables)];
  const own = names.flatMap((name) => [chainOf("ip", name), chainOf("ip6", name)]);
  const asked: string[] = [];
  const { chains } = await gatherChains(cliWith([...own, chainOf("inet", "fw")], asked));
  expect(chains.map(({ table }) => table)).toContain("fw");
  expect(asked).toEqual(["nft -j list chains", "nft -j --terse list table inet fw"]);
});
