/** The inputs that `-f` names: files, directories, standard input. */
import type { Cli } from "../cli.ts";
import { CliError, exitStatus, failed } from "../error.ts";

export interface Input {
  readonly text: string;
  /** For messages: `"pool.yaml"`, `standard input`. */
  readonly source: string;
  /** `undefined`: standard input. */
  readonly path: string | undefined;
}

const readable = /\.(ya?ml|json)$/;
/** Configurations of container runtimes; only `validate` reads them. */
const networks = /\.(conf|conflist)$/;

/**
 * All inputs, in the order of the names. From a directory, its YAML and JSON files, and with `recursive` those of its subdirectories.
 * `withNetworks`: network configurations too.
 */
export async function readInputs(
  cli: Cli,
  filenames: readonly string[],
  options: { readonly recursive: boolean; readonly withNetworks: boolean },
): Promise<readonly Input[]> {
  const inputs: Input[] = [];
  for (const name of filenames) {
    const filename = name.replace(/(?<=.)\/+$/, "");
    if (filename === "-") {
      inputs.push({ text: await cli.input(), source: "standard input", path: undefined });
      continue;
    }
    if (/^https?:\/\//.test(filename)) {
      throw new CliError(`cannot read "${filename}": files are not downloaded; use curl, and -f -`, exitStatus.usage);
    }
    const paths = isDirectory(cli, filename) ? filesIn(cli, filename, options) : [filename];
    if (paths.length === 0)
      throw new CliError(`cannot read "${filename}": no file of the directory has the extension .yaml, .yml or .json`);
    inputs.push(...paths.map((path) => ({ text: readText(cli, path), source: `"${path}"`, path })));
  }
  return inputs;
}

function filesIn(
  cli: Cli,
  directory: string,
  options: { readonly recursive: boolean; readonly withNetworks: boolean },
): readonly string[] {
  const names = attempt(directory, () => [...cli.sys.listDir(directory)].sort());
  return names.flatMap((name) => {
    const path = `${directory === "/" ? "" : directory}/${name}`;
    if (isDirectory(cli, path)) return options.recursive ? filesIn(cli, path, options) : [];
    return readable.test(name) || (options.withNetworks && networks.test(name)) ? [path] : [];
  });
}

function isDirectory({ sys }: Cli, path: string): boolean {
  return attempt(path, () => sys.stat(path)?.kind === "directory");
}

function readText({ sys }: Cli, path: string): string {
  return attempt(path, () => sys.readFile(path));
}

function attempt<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw failed(`cannot read "${path}"`, error);
  }
}
