/**
 * A `Sys` with faults (`fault.ts`). It wraps the real one in the executables of `crash-build.ts`, and the model in the unit tests; no release
 * contains it.
 *
 * A step is a call that can fail or that has a lasting effect. Clocks, arguments and the like are not steps: a process that dies there is in
 * the same state as one that dies at its next step.
 */
import type { Sys } from "../../../src/host/sys.ts";
import { type FaultOptions, Faults } from "./fault.ts";
import { faultySocket } from "./faulty-socket.ts";

/** A name as the native host generates it. */
const temporary = `.tmp-${"0".repeat(16)}`;

export function faultySys(sys: Sys, options: FaultOptions): Sys {
  const faults = new Faults(options);
  const step = <T>(call: string, object: string, body: () => T): T => faults.take({ call, object }, body);
  return {
    args: () => sys.args(),
    environment: () => sys.environment(),
    readStdin: (maxBytes, timeoutMs) => step("readStdin", "", () => sys.readStdin(maxBytes, timeoutMs)),
    readStdinFor: (maxBytes, timeoutMs) => step("readStdinFor", "", () => sys.readStdinFor(maxBytes, timeoutMs)),
    readStdinPart: () => step("readStdinPart", "", () => sys.readStdinPart()),
    write: (stream, text) => step("write", stream, () => sys.write(stream, text)),
    exit: (status) => sys.exit(status),
    hostname: () => step("hostname", "", () => sys.hostname()),
    pid: () => sys.pid(),

    wallClock: () => sys.wallClock(),
    monotonicMs: () => sys.monotonicMs(),
    cpuMs: () => sys.cpuMs(),
    sleepMs: (milliseconds) => sys.sleepMs(milliseconds),
    randomBytes: (count) => sys.randomBytes(count),

    readFile: (path, links) => step("readFile", path, () => sys.readFile(path, links)),
    writeFile: (path, text) => step("writeFile", path, () => sys.writeFile(path, text)),
    createFile: (path, text, mode) => step("createFile", path, () => sys.createFile(path, text, mode)),
    replaceFile(path, text, how) {
      const begin = () => {
        const directory = path.slice(0, path.lastIndexOf("/"));
        sys.createFile(`${directory}/${temporary}`, text.slice(0, text.length / 2), 0o600);
      };
      faults.take({ call: "replaceFile", object: path }, () => sys.replaceFile(path, text, how), begin);
    },
    appendFile: (path, text, mode) => step("appendFile", path, () => sys.appendFile(path, text, mode)),
    rename: (from, to) => step("rename", from, () => sys.rename(from, to)),
    removeFile: (path) => step("removeFile", path, () => sys.removeFile(path)),
    removeDir: (path) => step("removeDir", path, () => sys.removeDir(path)),
    makeDirs: (path, mode) => step("makeDirs", path, () => sys.makeDirs(path, mode)),
    listDir: (path) => step("listDir", path, () => sys.listDir(path)),
    stat: (path) => step("stat", path, () => sys.stat(path)),
    trustDirectory: (path) => step("trustDirectory", path, () => sys.trustDirectory(path)),
    lock: (path, mode, timeoutMs) => step("lock", path, () => sys.lock(path, mode, timeoutMs)),
    unlock: (lock) => faults.release("unlock", () => sys.unlock(lock)),

    run(argv, how) {
      const allButLastTable = () => {
        const tables = how.stdin.slice(0, how.stdin.lastIndexOf("\n*") + 1);
        if (tables !== "") sys.run(argv, { ...how, stdin: tables });
      };
      return faults.take({ call: "run", object: argv[0] ?? "" }, () => sys.run(argv, how), allButLastTable);
    },

    exchange: (path, request, timeoutMs) => step("exchange", path, () => sys.exchange(path, request, timeoutMs)),
    openNetns: (path) => step("openNetns", path, () => sys.openNetns(path)),
    closeNetns: (netns) => faults.release("closeNetns", () => sys.closeNetns(netns)),
    ownNetns: () => step("ownNetns", "", () => sys.ownNetns()),
    inNetns(netns, body) {
      step("inNetns", "", () => undefined);
      return sys.inNetns(netns, body);
    },
    inNewNetns(body) {
      step("inNewNetns", "", () => undefined);
      return sys.inNewNetns(body);
    },
    openNetlink: (protocol, netns) =>
      faultySocket(
        step("openNetlink", protocol, () => sys.openNetlink(protocol, netns)),
        faults,
      ),
    openEvents: (groups) => step("openEvents", groups.join(), () => sys.openEvents(groups)),
  };
}
