/** What a command works with: the node, the streams, the terminal. Tests make one of a model of the node. */
import type { Logger } from "pino";
import type { Sys } from "../host/sys.ts";
import type { ExecutableFiles } from "./install/executable-files.ts";
import type { Progress } from "./ui/progress.ts";
import type { Terminal } from "./ui/terminal.ts";

export interface Cli {
  /** The operating system; the store's directories are where `--run-dir` and `--state-dir` say. */
  readonly sys: Sys;
  readonly files: ExecutableFiles;
  /** This node's name. */
  readonly node: string;
  readonly terminal: Terminal;
  readonly progress: Progress;
  readonly log: Logger;
  /** To stdout: what was asked for, and nothing else. */
  readonly out: (text: string) => void;
  /** All of standard input. */
  readonly input: () => Promise<string>;
  /** One line to stderr. */
  readonly note: (line: string) => void;
  /** Runs a program and returns what it wrote to stdout. Throws `Error` when it fails or is missing. */
  readonly program: (argv: readonly string[]) => Promise<string>;
  /** Runs a program to its end, whatever that is. Throws `Error` when it cannot be run or does not end in time. */
  readonly execute: (argv: readonly string[], options: ExecuteOptions) => Promise<Executed>;
}

export interface ExecuteOptions {
  /** The whole environment but for PATH. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  /** It is killed afterwards. */
  readonly timeoutMs: number;
}

export interface Executed {
  /** `undefined` when a signal ended it. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}
