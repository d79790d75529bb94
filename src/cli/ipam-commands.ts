/** `tortie ipam …`: names, options, and help of each command. */
import type { CommandModule } from "yargs";
import { command, group } from "./command.ts";
import type { Run } from "./program.ts";
import { showIpam } from "./show.ts";

export function ipamCommand(run: Run): CommandModule {
  return group("ipam", "Show and mend the addresses that are given to pods", [showCommand(run)]);
}

function showCommand(run: Run): CommandModule {
  return command(run, {
    path: "ipam show",
    describe: "Show how much of the pools is in use",
    long:
      "Counts the addresses of each pool. A block is the part of a pool that this node has claimed. " +
      'In JSON and YAML all blocks are listed, and counts are exact ("free" is neither in use nor reserved).',
    examples: [
      ["$0 ipam show --show-blocks", "pools and their blocks"],
      ["$0 ipam show --map", "each block as one cell"],
      ["$0 ipam show --ip 192.168.9.128", "who has an address"],
      ["$0 ipam show -o json | jq '.pools[].free'", "for programs"],
    ],
    options: (yargs) =>
      yargs
        .option("ip", { type: "string", describe: "say who has this address" })
        .option("show-blocks", { type: "boolean", describe: "list the blocks of each pool" })
        .option("show-borrowed", {
          type: "boolean",
          describe: "list addresses that a node took from another one's block",
        })
        .option("show-configuration", { type: "boolean", describe: "list the settings of IPAM" })
        .option("map", { type: "boolean", describe: "draw each pool, a cell per block" })
        .option("output", { alias: "o", choices: ["wide", "yaml", "json"] as const, default: "wide" as const })
        .conflicts("ip", ["show-blocks", "show-borrowed", "show-configuration", "map"]),
    action: (cli, options) => showIpam(cli, { ...options, format: options.output }),
  });
}
