/** `tortie ipam …`: names, options, and help of each command. */
import type { CommandModule } from "yargs";
import { checkCommand } from "./check.ts";
import { command, group } from "./command.ts";
import { configureIpam } from "./configure.ts";
import type { Run } from "./program.ts";
import { releaseCommand } from "./release.ts";
import { showIpam } from "./show.ts";
import { splitPool } from "./split.ts";

export function ipamCommand(run: Run): CommandModule {
  return group("ipam", "Show and mend the addresses that are given to pods", [
    showCommand(run),
    checkSubcommand(run),
    releaseSubcommand(run),
    splitSubcommand(run),
    configureSubcommand(run),
  ]);
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
        .option("output", {
          alias: "o",
          choices: ["wide", "yaml", "json"] as const,
          default: "wide" as const,
          describe: "a table, or all that is known",
        })
        .conflicts("ip", ["show-blocks", "show-borrowed", "show-configuration", "map"]),
    action: (cli, options) => showIpam(cli, { ...options, format: options.output }),
  });
}

function checkSubcommand(run: Run): CommandModule {
  return command(run, {
    path: "ipam check",
    describe: "Look for addresses, handles and blocks that are wrong",
    long:
      "Compares what the store records with itself and with the node: endpoints, interfaces, namespaces, and the addresses that are really on " +
      "them. Changes nothing. Ends with 3 when it found problems. The report is what release needs.",
    examples: [
      ["$0 ipam check", "how many problems of which kind"],
      ["$0 ipam check --show-problem-ips -o report.json", "all of them, and a report"],
    ],
    options: (yargs) =>
      yargs
        .option("show-all-ips", { type: "boolean", describe: "list every allocation and what is known of it" })
        .option("show-problem-ips", { type: "boolean", describe: "list all problems; ten of each kind without" })
        .option("output", {
          alias: "o",
          type: "string",
          describe: 'write the report to this file; "-": to stdout, alone',
        }),
    action: checkCommand,
  });
}

function releaseSubcommand(run: Run): CommandModule {
  return command(run, {
    path: "ipam release",
    describe: "Release an address, or mend what reports name",
    long:
      "With reports only what is in all of them and is still so is mended. Reports of another node, of another store or of an earlier boot are " +
      "refused; those older than an hour need --force. An address in use is released with --force alone.",
    examples: [
      ["$0 ipam release --from-report report.json --dry-run", "what would be mended?"],
      ["$0 ipam release --from-report r1.json --from-report r2.json", "what both checks found"],
      ["$0 ipam release --ip 192.168.9.128", "one address"],
    ],
    options: (yargs) =>
      yargs
        .option("ip", { type: "string", describe: "the address" })
        .option("from-report", { type: "string", array: true, nargs: 1, describe: "a file of tortie ipam check -o" })
        .option("force", { type: "boolean", describe: "an address in use; an old report" })
        .option("dry-run", { type: "boolean", describe: "tell what would be done, and do nothing" }),
    action: releaseCommand,
  });
}

function splitSubcommand(run: Run): CommandModule {
  return command(run, {
    path: "ipam split <number>",
    describe: "Split a pool into smaller ones",
    long: "Makes pools split-<name>-0, split-<name>-1, … of the pool, and removes it. Blocks and addresses stay as they are.",
    examples: [
      ["$0 ipam split 2 --cidr 192.168.0.0/16", "into halves"],
      ["$0 ipam split 4 --name default-ipv4-ippool --dry-run", "which would they be?"],
    ],
    options: (yargs) =>
      yargs
        .positional("number", { type: "number", demandOption: true, describe: "a power of 2" })
        .option("cidr", { type: "string", describe: "the pool with this range" })
        .option("name", { type: "string", describe: "the pool with this name" })
        .option("dry-run", { type: "boolean", describe: "tell what would be done, and do nothing" }),
    action: splitPool,
  });
}

function configureSubcommand(run: Run): CommandModule {
  return command(run, {
    path: "ipam configure",
    describe: "Change the settings of IPAM",
    long: "What is not named stays as it is. tortie ipam show --show-configuration lists them.",
    examples: [
      ["$0 ipam configure --strictaffinity=true", "addresses from the node's own blocks alone"],
      ["$0 ipam configure --ip-cooldown-seconds=30", "a released address rests for half a minute"],
    ],
    options: (yargs) =>
      yargs
        .option("strictaffinity", { type: "boolean", describe: "never borrow from another node's block" })
        .option("max-blocks-per-host", { type: "number", describe: "of each family; 0: no limit" })
        .option("ip-cooldown-seconds", { type: "number", describe: "0 to 1200" })
        .option("dry-run", { type: "boolean", describe: "tell what would be done, and do nothing" }),
    action: configureIpam,
  });
}
