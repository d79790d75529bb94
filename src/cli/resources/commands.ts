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
    "Kinds may be written in the plural. YAML and JSON can be given to apply again. " +
    "One resource that is asked for by name stands alone, several are a list.",
  examples: [
    ["$0 get ippools -o wide", "all pools with their modes"],
    ["$0 get ippool default-ipv4-ippool -o yaml > pool.yaml", "one pool, to be edited and applied"],
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
      describe: "a table, a wider one, the whole resource, or <kind>/<name> alone",
    },
    selector: {
      type: "string",
      alias: "l",
      describe: "by labels: key=value, key!=value, key, !key, with commas between them",
    },
    namespace: { type: "string", alias: "n", describe: "workloadendpoints of this namespace" },
    "all-namespaces": {
      type: "boolean",
      alias: "A",
      describe: "workloadendpoints of every namespace, as without",
      excludes: ["namespace"],
    },
  },
  action: getResources,
});

const files = {
  filename: {
    type: "strings",
    alias: "f",
    describe: 'a file with resources, or a directory of such files; "-": standard input; as often as wanted',
    completes: "file",
  },
  recursive: { type: "boolean", alias: "R", describe: "the directories in a directory, too" },
} as const;

const overDamage = {
  type: "boolean",
  describe: "in the place of a file that is damaged, which is kept beside",
} as const;

const howToWrite =
  "A file holds YAML or JSON, in one document or several. All are judged before any is written; " +
  "a resourceVersion that is sent must be the one that is stored.";

/** `apply pool.yaml`: what kubectl's users, too, forget. */
const surplusFile = (words: readonly string[]) =>
  `a file is given by -f: ${words.map((word) => `-f ${word}`).join(" ")}`;

const apply = command({
  path: "apply",
  describe: "Create or change resources",
  long: `What is there already is changed, the rest is created. ${howToWrite}`,
  examples: examplesOf("apply"),
  options: { ...files, force: overDamage, "dry-run": dryRun },
  surplus: surplusFile,
  action: (cli, options) => writeResources(cli, "apply", options),
});

const create = command({
  path: "create",
  describe: "Create resources",
  long: `What is there already is refused. ${howToWrite}`,
  examples: examplesOf("create"),
  options: { ...files, "dry-run": dryRun },
  surplus: surplusFile,
  action: (cli, options) => writeResources(cli, "create", options),
});

const replace = command({
  path: "replace",
  describe: "Change resources",
  long: `What is not there yet is refused. ${howToWrite}`,
  examples: examplesOf("replace"),
  options: { ...files, force: overDamage, "dry-run": dryRun },
  surplus: surplusFile,
  action: (cli, options) => writeResources(cli, "replace", options),
});

const validate = command({
  path: "validate",
  describe: "Check resources and network configurations without writing them",
  long:
    `As apply, but for the writing: what is wrong is told, with what it collides with. ${howToWrite} ` +
    "Of a network configuration (.conflist, .conf) every key that no plugin knows is named, every value that ADD would refuse or take for " +
    "something else, and what this version cannot honour.",
  examples: [...examplesOf("validate"), ["$0 validate -f /etc/cni/net.d", "the network configuration of this node"]],
  options: files,
  surplus: surplusFile,
  action: (cli, options) => writeResources(cli, "validate", options),
});

const remove = command({
  path: "delete",
  describe: "Delete resources",
  long:
    "Deleting a pool disables it, gives its blocks up and then removes it; while it has addresses in use this is refused. " +
    "So is a block or a handle that holds addresses, and an endpoint whose sandbox is there.",
  examples: [
    ["$0 delete ippool old-pool --dry-run", "would it be possible?"],
    ["$0 delete -f pools.yaml", "whatever is in a file"],
  ],
  positionals: {
    kind: { type: "string", describe: `one of ${kinds}`, completes: "kind" },
    names: { type: "strings", describe: "of the resources", completes: "name" },
  },
  options: {
    ...files,
    force: { type: "boolean", describe: "even while it is in use, or damaged" },
    "dry-run": dryRun,
  },
  action: deleteResources,
});

export const resourceCommands: readonly Command[] = [get, apply, create, replace, validate, remove];

function examplesOf(verb: Verb): readonly (readonly [string, string])[] {
  return [
    [`$0 ${verb} -f pool.yaml`, "from a file"],
    [`$0 ${verb} -f pools/ -R`, "from every file of a directory, and of the directories in it"],
    ...(verb === "create" ? [] : [[`$0 get ippool -o yaml | $0 ${verb} -f -`, "from a pipe"] as const]),
  ];
}
