/** `tortie ipam …`: names, options, and help of each command. */

import { type Command, command, dryRun } from "../definition.ts";
import { checkCommand } from "./check.ts";
import { configureIpam } from "./configure.ts";
import { releaseCommand } from "./release.ts";
import { showIpam } from "./show.ts";
import { splitPool } from "./split.ts";

const show = command({
  path: "ipam show",
  describe: "Show pool utilisation",
  long:
    "Counts the addresses of each pool. A block is a part of a pool that this node has claimed. " +
    'JSON and YAML output lists all blocks, with exact counts ("free" excludes addresses in use and reserved ones).',
  examples: [
    ["$0 ipam show --show-blocks", "pools and their blocks"],
    ["$0 ipam show --map", "a map with one cell per block"],
    ["$0 ipam show --ip 192.168.9.128", "the owner of an address"],
    ["$0 ipam show -o json | jq '.pools[].free'", "for programs"],
  ],
  options: {
    ip: {
      type: "string",
      describe: "show the owner of this address",
      excludes: ["show-blocks", "show-borrowed", "show-configuration", "map"],
    },
    "show-blocks": { type: "boolean", describe: "list the blocks of each pool" },
    "show-borrowed": {
      type: "boolean",
      describe: "list addresses that a node borrowed from the block of another node",
    },
    "show-configuration": { type: "boolean", describe: "list the settings of IPAM" },
    map: { type: "boolean", describe: "draw each pool, a cell per block" },
    output: {
      type: "string",
      alias: "o",
      choices: ["wide", "yaml", "json"],
      default: "wide",
      describe: "a table, or everything",
    },
  },
  action: (cli, options) => showIpam(cli, { ...options, format: options.output }),
});

const check = command({
  path: "ipam check",
  describe: "Find leaked addresses and inconsistent handles and blocks",
  long:
    "Compares the datastore's objects with each other and with the node: endpoints, interfaces, namespaces, and the addresses " +
    "in use. Changes nothing. Exits with 3 if it finds problems. Pass the report to release.",
  examples: [
    ["$0 ipam check", "the number of problems of each kind"],
    ["$0 ipam check --show-problem-ips -o report.json", "all problems, and a report"],
  ],
  options: {
    "show-all-ips": { type: "boolean", describe: "list every allocation and its details" },
    "show-problem-ips": { type: "boolean", describe: "list all problems, not only ten of each kind" },
    output: {
      type: "string",
      alias: "o",
      describe: 'write the report to this file; "-": to stdout, without other output',
      completes: "file",
    },
  },
  action: checkCommand,
});

const release = command({
  path: "ipam release",
  describe: "Release an address, or repair the problems of reports",
  long:
    "Repairs only problems that are in all reports and still exist. Rejects reports of another node, of another datastore or from an earlier boot; " +
    "reports older than an hour need --force. So does an address in use.",
  examples: [
    ["$0 ipam release --from-report report.json --dry-run", "what would be repaired"],
    ["$0 ipam release --from-report r1.json --from-report r2.json", "problems that both checks found"],
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
  describe: "Split a pool into equal parts",
  long: "Creates the pools split-<name>-0, split-<name>-1, … and removes the original. Blocks and addresses stay.",
  examples: [
    ["$0 ipam split 2 --cidr 192.168.0.0/16", "into halves"],
    ["$0 ipam split 4 --name default-ipv4-ippool --dry-run", "the pools that it would create"],
  ],
  positionals: { number: { type: "number", required: true, describe: "number of parts, a power of 2" } },
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
  long: "Other settings stay. tortie ipam show --show-configuration lists them.",
  examples: [
    ["$0 ipam configure --strictaffinity=true", "addresses only from the node's own blocks"],
    ["$0 ipam configure --ip-cooldown-seconds=30", "a released address stays unassigned for half a minute"],
  ],
  options: {
    strictaffinity: { type: "boolean", describe: "never borrow from blocks of other nodes" },
    "max-blocks-per-host": { type: "number", minimum: 0, integer: true, describe: "per address family; 0: no limit" },
    "ip-cooldown-seconds": { type: "number", minimum: 0, maximum: 1200, integer: true, describe: "0 to 1200" },
    "dry-run": dryRun,
  },
  action: configureIpam,
});

export const ipamCommands: readonly Command[] = [show, check, release, split, configure];
