/** `tortie get`, `apply`, …: names, options, and help of each command. */
import { type Command, command, dryRun } from "../definition.ts";
import { getResources } from "./get.ts";
import { resourceKinds } from "./kinds.ts";
import { deleteResources, writeResources } from "./resources.ts";
import type { Verb } from "./write.ts";

const kinds = resourceKinds.map((kind) => kind.toLowerCase()).join(", ");

const get = command({
  path: "get",
  describe: "List resources",
  long:
    "Kinds may be plural. You can pass YAML and JSON output to apply. " +
    "A single named resource is printed alone, several as a list. Policies, their tiers and sets, and hostendpoints are only shown: " +
    "Tortie enforces no network policy.",
  examples: [
    ["$0 get ippools -o wide", "all pools with their modes"],
    ["$0 get ippool default-ipv4-ippool -o yaml > pool.yaml", "one pool, to edit and apply"],
    ["$0 get wep", "every endpoint of the node"],
  ],
  positionals: {
    kind: { type: "string", required: true, describe: `one of ${kinds}`, completes: "kind" },
    names: { type: "strings", describe: "all without", completes: "name" },
  },
  options: {
    output: {
      type: "string",
      alias: "o",
      choices: ["ps", "wide", "yaml", "json", "name"],
      default: "ps",
      describe: "a table, a wider table, the whole resource, or only <kind>/<name>",
    },
    selector: {
      type: "string",
      alias: "l",
      describe: "select by labels: key=value, key!=value, key, !key, separated by commas",
    },
    namespace: {
      type: "string",
      alias: "n",
      describe: "workloadendpoints, networkpolicies and networksets of this namespace",
    },
    "all-namespaces": {
      type: "boolean",
      alias: "A",
      describe: "of every namespace (default)",
      excludes: ["namespace"],
    },
  },
  action: getResources,
});

const files = {
  filename: {
    type: "strings",
    alias: "f",
    describe: 'a file with resources, or a directory of such files; "-": standard input; may be repeated',
    completes: "file",
  },
  recursive: { type: "boolean", alias: "R", describe: "include subdirectories" },
} as const;

const overDamage = {
  type: "boolean",
  describe: "in the place of a file that is damaged, which is kept beside",
} as const;

const howToWrite =
  "A file contains YAML or JSON, in one document or several. All are checked before any is written; " +
  "a resourceVersion must match the stored one.";

/** `apply pool.yaml`: kubectl's users, too, forget the `-f`. */
const surplusFile = (words: readonly string[]) =>
  `pass the file with -f: ${words.map((word) => `-f ${word}`).join(" ")}`;

const apply = command({
  path: "apply",
  describe: "Create or change resources",
  long: `Existing resources are changed, the others are created. ${howToWrite}`,
  examples: examplesOf("apply"),
  options: { ...files, force: overDamage, "dry-run": dryRun },
  surplus: surplusFile,
  action: (cli, options) => writeResources(cli, "apply", options),
});

const create = command({
  path: "create",
  describe: "Create resources",
  long: `It is an error if a resource exists. ${howToWrite}`,
  examples: examplesOf("create"),
  options: { ...files, "dry-run": dryRun },
  surplus: surplusFile,
  action: (cli, options) => writeResources(cli, "create", options),
});

const replace = command({
  path: "replace",
  describe: "Change resources",
  long: `It is an error if a resource does not exist. ${howToWrite}`,
  examples: examplesOf("replace"),
  options: { ...files, force: overDamage, "dry-run": dryRun },
  surplus: surplusFile,
  action: (cli, options) => writeResources(cli, "replace", options),
});

const validate = command({
  path: "validate",
  describe: "Check resources and network configurations without writing them",
  long:
    `Like apply, but without writing: reports errors and conflicts. ${howToWrite} ` +
    "For a network configuration (.conflist, .conf) it reports every unknown key, every value that ADD would reject or interpret " +
    "differently, and what this version cannot honour.",
  examples: [...examplesOf("validate"), ["$0 validate -f /etc/cni/net.d", "the network configuration of this node"]],
  options: files,
  surplus: surplusFile,
  action: (cli, options) => writeResources(cli, "validate", options),
});

const remove = command({
  path: "delete",
  describe: "Delete resources",
  long:
    "Deleting a pool disables it, releases its blocks and then removes it; this fails while addresses are in use. " +
    "So does deleting a block or handle that holds addresses, or the endpoint of a live sandbox.",
  examples: [
    ["$0 delete ippool old-pool --dry-run", "whether it is possible"],
    ["$0 delete -f pools.yaml", "all resources of a file"],
  ],
  positionals: {
    kind: { type: "string", describe: `one of ${kinds}`, completes: "kind" },
    names: { type: "strings", describe: "of the resources", completes: "name" },
  },
  options: {
    ...files,
    force: { type: "boolean", describe: "even if it is in use, or damaged" },
    "dry-run": dryRun,
  },
  action: deleteResources,
});

export const resourceCommands: readonly Command[] = [get, apply, create, replace, validate, remove];

function examplesOf(verb: Verb): readonly (readonly [string, string])[] {
  return [
    [`$0 ${verb} -f pool.yaml`, "from a file"],
    [`$0 ${verb} -f pools/ -R`, "every file of a directory and its subdirectories"],
    ...(verb === "create" ? [] : [[`$0 get ippool -o yaml | $0 ${verb} -f -`, "from a pipe"] as const]),
  ];
}
