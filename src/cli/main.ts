/** `tortie`: the operator's command, on Node. */
import { text } from "node:stream/consumers";
import { isatty } from "node:tty";
import { execa } from "execa";
import pino from "pino";
import { CniError } from "../cni/error.ts";
import { nodeSys } from "../host/node/node.ts";
import type { Sys } from "../host/sys.ts";
import { defaultNodename, nodename, nodenameFault } from "../plugin/nodename.ts";
import { calicoctlSettings } from "./calicoctl-settings.ts";
import type { Cli } from "./cli.ts";
import { clusterOf } from "./cluster.ts";
import { CliError, exitStatus } from "./error.ts";
import { nodeExecutableFiles } from "./install/executable-files.ts";
import { redirectedSys } from "./node/redirected-sys.ts";
import { type GlobalOptions, runCommandLine } from "./program.ts";
import { reportingLock } from "./reporting-lock.ts";
import { stderrProgress } from "./ui/progress.ts";
import { terminalOf } from "./ui/terminal.ts";

const out = (text: string) => nodeSys.write("stdout", text);
const note = (line: string) => nodeSys.write("stderr", `${line}\n`);

// Not awaited here: the bundle is not a module (scripts/build/node-bundle.ts).
const isRoot = process.geteuid?.() === 0;
runCommandLine(process.argv.slice(2), { environment: process.env, out, note, isRoot, cli: cliOf }).then((status) => {
  process.exitCode = status;
});

/** A node name from the configuration that plugins reject does not stop the command (STATUS reports it); an invalid `--node` does. */
function nodeOf(sys: Sys, name: string | undefined): string {
  const fault = name === undefined ? undefined : nodenameFault(name, "--node", "set --node to such a name");
  if (fault !== undefined) throw new CliError(fault, exitStatus.usage);
  try {
    return name ?? nodename(defaultNodename, sys);
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return sys.hostname().trim().toLowerCase();
  }
}

function readIfThere(path: string): string | undefined {
  return nodeSys.stat(path) === undefined ? undefined : nodeSys.readFile(path);
}

function cliOf({ config, directories, node, logLevel }: GlobalOptions): Cli {
  const reading = { environment: process.env, readFile: readIfThere };
  const settings = config === undefined ? undefined : calicoctlSettings({ ...reading, file: config });
  const progress = stderrProgress((text) => nodeSys.write("stderr", text), {
    isTerminal: isatty(2),
    nowMs: nodeSys.monotonicMs,
  });
  const log = pino({ level: logLevel, base: { pid: process.pid } }, pino.destination({ dest: 2, sync: true }));
  const sys = redirectedSys({ ...nodeSys, lock: reportingLock(nodeSys, note) }, directories, progress.tick);
  return {
    sys,
    cluster: settings && clusterOf(settings),
    files: nodeExecutableFiles,
    node: nodeOf(sys, node),
    // Creating `process.stdout` makes a pipe non-blocking, and a long text would not fit into it.
    terminal: terminalOf(isatty(1) ? process.stdout : {}, process.env),
    progress,
    log,
    out,
    input: () => text(process.stdin),
    note,
    program: async ([file = "", ...args]) => {
      const { stdout, durationMs } = await execa(file, args, { stdin: "ignore" }).catch((error: unknown) => {
        throw isMissing(error) ? new Error(`the program "${file}" is not installed, or not in PATH`) : error;
      });
      log.debug({ argv: [file, ...args], durationMs }, "program ran");
      return stdout;
    },
    execute: async ([file = "", ...args], { env, stdin, timeoutMs }) => {
      const done = await execa(file, args, {
        env: { PATH: process.env.PATH ?? "", ...env },
        extendEnv: false,
        input: stdin,
        timeout: timeoutMs,
        killSignal: "SIGKILL",
        reject: false,
        stripFinalNewline: false,
      });
      log.debug({ argv: [file, ...args], env, durationMs: done.durationMs, exitCode: done.exitCode }, "program ran");
      if (done.timedOut) throw new Error(`no answer within ${timeoutMs / 1000} s`);
      // The program could not be started: throw the system call's error.
      if (done.exitCode === undefined && done.signal === undefined) throw done.cause ?? done;
      return { status: done.exitCode, stdout: done.stdout, stderr: done.stderr };
    },
  };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
