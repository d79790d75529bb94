/** `tortie ipam …`: names, options, and help of each command. */

import { type Command, command, dryRun } from "../definition.ts";
import { checkCommand } from "./check.ts";
import { configureIpam } from "./configure.ts";
import { releaseCommand } from "./release.ts";
import { showIpam } from "./show.ts";
import { splitPool } from "./split.ts";

const show = command({
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
  options: {
    ip: {
      type: "string",
      describe: "say who has this address",
      excludes: ["show-blocks", "show-borrowed", "show-configuration", "map"],
    },
    "show-blocks": { type: "boolean", describe: "list the blocks of each pool" },
    "show-borrowed": { type: "boolean", describe: "list addresses that a node took from another one's block" },
    "show-configuration": { type: "boolean", describe: "list the settings of IPAM" },
    map: { type: "boolean", describe: "draw each pool, a cell per block" },
    output: {
      type: "string",
      alias: "o",
      choices: ["wide", "yaml", "json"],
      default: "wide",
      describe: "a table, or all that is known",
    },
  },
  action: (cli, options) => showIpam(cli, { ...options, format: options.output }),
});

const check = command({
  path: "ipam check",
  describe: "Look for addresses, handles and blocks that are wrong",
  long:
    "Compares what the store records with itself and with the node: endpoints, interfaces, namespaces, and the addresses that are really on " +
    "them. Changes nothing. Ends with 3 when it found problems. The report is what release needs.",
  examples: [
    ["$0 ipam check", "how many problems of which kind"],
    ["$0 ipam check --show-problem-ips -o report.json", "all of them, and a report"],
  ],
  options: {
    "show-all-ips": { type: "boolean", describe: "list every allocation and what is known of it" },
    "show-problem-ips": { type: "boolean", describe: "list all problems; ten of each kind without" },
    output: {
      type: "string",
      alias: "o",
      describe: 'write the report to this file; "-": to stdout, alone',
      completes: "file",
    },
  },
  action: checkCommand,
});

const release = command({
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
  options: {
    ip: { type: "string", describe: "the address" },
    "from-report": { type: "strings", describe: "a file that ipam check -o wrote", completes: "file" },
    force: { type: "boolean", describe: "an address in use; an old report" },
    "dry-run": dryRun,
  },
  action: releaseCommand,
});

const split = command({
  path: "ipam split",
  describe: "Split a pool into smaller ones",
  long: "Makes pools split-<name>-0, split-<name>-1, … of the pool, and removes it. Blocks and addresses stay as they are.",
  examples: [
    ["$0 ipam split 2 --cidr 192.168.0.0/16", "into halves"],
    ["$0 ipam split 4 --name default-ipv4-ippool --dry-run", "which would they be?"],
  ],
  positionals: { number: { type: "number", required: true, describe: "into how many, a power of 2" } },
  options: {
    cidr: { type: "string", describe: "the pool with this range" },
    name: { type: "string", describe: "the pool with this name" },
    "dry-run": dryRun,
  },
  action: splitPool,
});

const configure = command({
  path: "ipam configure",
  describe: "Change the settings of IPAM",
  long: "What is not named stays as it is. tortie ipam show --show-configuration lists them.",
  examples: [
    ["$0 ipam configure --strictaffinity=true", "addresses from the node's own blocks alone"],
    ["$0 ipam configure --ip-cooldown-seconds=30", "a released address rests for half a minute"],
  ],
  options: {
    strictaffinity: { type: "boolean", describe: "never borrow from another node's block" },
    "max-blocks-per-host": { type: "number", minimum: 0, integer: true, describe: "of each family; 0: no limit" },
    "ip-cooldown-seconds": { type: "number", minimum: 0, maximum: 1200, integer: true, describe: "0 to 1200" },
    "dry-run": dryRun,
  },
  action: configureIpam,
});

export const ipamCommands: readonly Command[] = [show, check, release, split, configure];
