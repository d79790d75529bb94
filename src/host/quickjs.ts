/** `Sys` over the native host, for the plugins. */
import type { Native } from "./native.ts";
import type { FileLock, NetlinkSocket, Netns, RunOptions, Sys } from "./sys.ts";

declare const native: Native;

/** Protocol numbers of netlink(7). */
const netlinkProtocol = { route: 0, sock_diag: 4, netfilter: 12, generic: 16 } as const;

export const quickjsSys: Sys = {
  args: native.args,
  environment: native.environment,
  readStdin: native.readStdin,
  readStdinFor: native.readStdinFor,
  readStdinPart: native.readStdinPart,
  write: (stream, text) => native.write(stream === "stdout" ? 1 : 2, text),
  exit: native.exit,
  hostname: native.hostname,
  pid: native.pid,
  wallClock: native.wallClock,
  monotonicMs: native.monotonicMs,
  cpuMs: native.cpuMs,
  sleepMs: native.sleepMs,
  randomBytes: native.randomBytes,
  readFile: native.readFile,
  writeFile: native.writeFile,
  createFile: native.createFile,
  replaceFile: (path, text, { mode, durable }) => native.replaceFile(path, text, mode, durable),
  appendFile: native.appendFile,
  rename: native.rename,
  removeFile: native.removeFile,
  removeDir: native.removeDir,
  makeDirs: native.makeDirs,
  listDir: native.listDir,
  stat: native.stat,
  trustDirectory: native.trustDirectory,
  lock: (path, mode, timeoutMs) => {
    const { fd, abandoned } = native.lock(path, mode === "exclusive", timeoutMs);
    return { fd, mode, abandoned };
  },
  unlock: ({ fd, mode }: FileLock) => (mode === "exclusive" ? native.unlock(fd) : native.closeFd(fd)),
  exchange: native.exchange,
  run: (argv, options: RunOptions) =>
    native.run(
      argv,
      Object.entries(options.env).map(([name, value]) => `${name}=${value}`),
      options.stdin,
      options.timeoutMs,
    ),
  openNetns: native.openNetns,
  closeNetns: (netns: Netns) => native.closeFd(netns.fd),
  ownNetns: native.ownNetns,
  inNetns: (netns, body) => native.inNetns(netns.fd, body),
  inNewNetns: native.inNewNetns,
  openNetlink: (protocol, netns) => netlinkSocket(native.openNetlink(netlinkProtocol[protocol], netns?.fd ?? -1)),
  openEvents: (groups) => {
    const fd = native.openNetlink(netlinkProtocol.route, -1);
    for (const group of groups) native.netlinkJoin(fd, group);
    const waitWithStdin = (timeoutMs: number) => {
      const ready = native.netlinkWait(fd, timeoutMs);
      return { stdin: (ready & 1) !== 0, socket: (ready & 2) !== 0 };
    };
    return { ...netlinkSocket(fd), waitWithStdin };
  },
};

function netlinkSocket(fd: number): NetlinkSocket {
  return {
    send: (datagram) => native.netlinkSend(fd, datagram),
    receive: (timeoutMs) => native.netlinkReceive(fd, timeoutMs),
    close: () => native.closeFd(fd),
  };
}
