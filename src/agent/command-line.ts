/** The command line: an option for each setting, which takes precedence over the environment. */
import yargs from "yargs";
import type { Environment } from "../store/cluster/settings.ts";
import { describeSettings } from "./settings/schema.ts";

/** Settings without an option, because every user can read the list of processes. */
const secrets = ["ETCD_PASSWORD", "K8S_API_TOKEN"];

export class UsageError extends Error {
  override readonly name = "UsageError";
}

export type CommandLine =
  | { readonly environment: Environment }
  /** The output of `--help` or `--version`. */
  | { readonly text: string };

/** Throws `UsageError`. */
export async function parseCommandLine(
  argv: readonly string[],
  environment: Environment,
  version: string,
): Promise<CommandLine> {
  const settings = describeSettings().filter(({ name }) => !secrets.includes(name));
  const options = settings.map(({ name, meaning }) => [
    optionOf(name),
    { type: "string", requiresArg: true, describe: plain(meaning) } as const,
  ]);
  let text: string | undefined;
  const parsed = await yargs([])
    .scriptName("tortie-node")
    .usage(
      "$0 [options]\n\nThe node agent: makes this node one of a cluster in Calico's datastore.\n" +
        "Each option is also an environment variable: --etcd-endpoints is ETCD_ENDPOINTS.",
    )
    .parserConfiguration({ "camel-case-expansion": false, "parse-numbers": false, "duplicate-arguments-array": false })
    .options(Object.fromEntries(options))
    .strict()
    .version(version)
    .alias("help", "h")
    .exitProcess(false)
    .wrap(null)
    .fail((message, error) => {
      throw new UsageError(`${message ?? error.message}; see "tortie-node --help"`);
    })
    .parseAsync([...argv], {}, (_error, _argv, output) => {
      if (output !== "") text = `${output.trimEnd()}\n`;
    });
  if (text !== undefined) return { text };
  const given = Object.fromEntries(
    settings.flatMap(({ name }) => {
      const value = parsed[optionOf(name)];
      return typeof value === "string" ? [[name, value]] : [];
    }),
  );
  return { environment: { ...environment, ...given } };
}

function optionOf(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

/** Without Markdown markup. */
function plain(text: string): string {
  return text.replaceAll("`", "");
}
