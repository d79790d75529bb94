/** Everything that a command uses: the node, the streams, the terminal. Tests substitute a model of a node. */
import type { Logger } from "pino";
import type { Sys } from "../host/sys.ts";
import type { Cluster } from "./cluster.ts";
import type { ExecutableFiles } from "./install/executable-files.ts";
import type { Progress } from "./ui/progress.ts";
import type { Terminal } from "./ui/terminal.ts";

export interface Cli {
  /** The operating system, with the store's directories replaced by `--run-dir` and `--state-dir`. */
  readonly sys: Sys;
  /** The cluster's datastore, if the settings select one instead of the files of this node. */
  readonly cluster: Cluster | undefined;
  readonly files: ExecutableFiles;
  /** This node's name. */
  readonly node: string;
  readonly terminal: Terminal;
  readonly progress: Progress;
  readonly log: Logger;
  /** Writes the command's output to stdout. */
  readonly out: (text: string) => void;
  /** All of standard input. */
  readonly input: () => Promise<string>;
  /** Writes one line to stderr. */
  readonly note: (line: string) => void;
  /** Runs a program and returns its stdout. Throws `Error` if it fails or is missing. */
  readonly program: (argv: readonly string[]) => Promise<string>;
  /** Runs a program and returns its exit code and output. Throws `Error` if it cannot be started or exceeds its time. */
  readonly execute: (argv: readonly string[], options: ExecuteOptions) => Promise<Executed>;
}

export interface ExecuteOptions {
  /** The whole environment except PATH. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  /** The program is killed after this time. */
  readonly timeoutMs: number;
}

export interface Executed {
  /** `undefined` if a signal ended it. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}
