/** `tortie get`, `apply`, …: names, options, and help of each command. */
import type { Argv, CommandModule } from "yargs";
import { command } from "./command.ts";
import { resourceKinds } from "./kinds.ts";
import type { Run } from "./program.ts";
import type { Verb } from "./resource-write.ts";
import { deleteResources, getResources, writeResources } from "./resources.ts";

const kinds = resourceKinds.map((kind) => kind.toLowerCase());

export function resourceCommands(run: Run): readonly CommandModule[] {
  return [
    getCommand(run),
    writeCommand(run, "apply", "Create or change resources", "What is there already is changed, the rest is created."),
    writeCommand(run, "create", "Create resources", "What is there already is refused."),
    writeCommand(run, "replace", "Change resources", "What is not there yet is refused."),
    writeCommand(
      run,
      "validate",
      "Check resources without writing them",
      "As apply, but for the writing: what is wrong is told, with what it collides with.",
    ),
    deleteCommand(run),
  ];
}

function getCommand(run: Run): CommandModule {
  return command(run, {
    path: "get <kind> [names..]",
    describe: "List resources",
    long:
      "Kinds may be written in the plural. YAML and JSON can be given to apply again. " +
      "One resource that is asked for by name stands alone, several are a list.",
    examples: [
      ["$0 get ippools -o wide", "all pools with their modes"],
      ["$0 get ippool default-ipv4-ippool -o yaml > pool.yaml", "one pool, to be edited and applied"],
      ["$0 get wep", "every endpoint of the node"],
    ],
    options: (yargs) =>
      yargs
        .positional("kind", { type: "string", demandOption: true, describe: kinds.join(", ") })
        .positional("names", { type: "string", array: true, default: [] as string[], describe: "all without" })
        .option("output", {
          alias: "o",
          choices: ["ps", "wide", "yaml", "json"] as const,
          default: "ps" as const,
          describe: "a table, a wider one, or the whole resource",
        }),

    action: getResources,
  });
}

function writeCommand(run: Run, verb: Verb, describe: string, long: string): CommandModule {
  return command(run, {
    path: verb,
    describe,
    long:
      `${long} A file holds YAML or JSON, in one document or several. All are judged before any is written; ` +
      "a resourceVersion that is sent must be the one that is stored.",
    examples: [
      [`$0 ${verb} -f pool.yaml`, "from a file"],
      [`$0 get ippool -o yaml | $0 ${verb} -f -`, "from a pipe"],
    ],
    options: (yargs) => (verb === "validate" ? fileOption(yargs) : fileOption(yargs).option("dry-run", dryRun)),
    action: (cli, options: { readonly filename: string; readonly dryRun?: boolean | undefined }) =>
      writeResources(cli, verb, options),
  });
}

function deleteCommand(run: Run): CommandModule {
  return command(run, {
    path: "delete [kind] [names..]",
    describe: "Delete resources",
    long:
      "Deleting a pool disables it, gives its blocks up and then removes it; while it has addresses in use this is refused. " +
      "So is a block or a handle that holds addresses, and an endpoint whose sandbox is there.",
    examples: [
      ["$0 delete ippool old-pool --dry-run", "would it be possible?"],
      ["$0 delete -f pools.yaml", "whatever is in a file"],
    ],
    options: (yargs) =>
      yargs
        .positional("kind", { type: "string", describe: kinds.join(", ") })
        .positional("names", { type: "string", array: true, default: [] as string[] })
        .option("filename", { alias: "f", type: "string", describe: 'the resources; "-": standard input' })
        .option("force", { type: "boolean", describe: "even while it is in use" })
        .option("dry-run", dryRun),
    action: deleteResources,
  });
}

const dryRun = { type: "boolean", describe: "tell what would be done, and do nothing" } as const;

function fileOption(yargs: Argv) {
  return yargs.option("filename", {
    alias: "f",
    type: "string",
    demandOption: true,
    describe: 'a file with resources; "-": standard input',
  });
}
