/** Finds processes of the node that listen on host ports. */
import { CoreError } from "../../errors/core-error.ts";
import { socketsOf } from "../../host/process-sockets.ts";
import type { Sys } from "../../host/sys.ts";
import { type TableFamily, tableFamilies, tableFamilyOf } from "../../net/address.ts";
import { type DiagProtocol, dumpListeners, type Listener, readListener } from "../../netlink/sock-diag.ts";
import { NetlinkConnection } from "../connection.ts";

export interface HostPort {
  readonly protocol: DiagProtocol;
  readonly hostPort: number;
  /** One address of the host; `undefined` means all. */
  readonly hostIp: string | undefined;
  readonly families: readonly TableFamily[];
}

export interface TakenPort {
  readonly protocol: DiagProtocol;
  readonly port: number;
  /** The address that the process listens on; `0.0.0.0` and `::` stand for all. */
  readonly address: string;
  /** `sshd (pid 42)`; `undefined` if the process is not visible from here. */
  readonly process: string | undefined;
}

/** For more ports of one protocol, all listeners are dumped at once. */
const maxQuestions = 8;
/** Without this directory SCTP is not loaded; a sock_diag request would load it. */
const sctpDirectory = "/proc/net/sctp";

/** The listeners on these ports. None if the kernel does not support sock_diag. */
export function findListeners(ports: readonly HostPort[], sys: Sys): readonly TakenPort[] {
  const found: { readonly protocol: DiagProtocol; readonly listener: Listener }[] = [];
  const connection = new NetlinkConnection(sys.openNetlink("sock_diag"));
  try {
    for (const protocol of ["tcp", "udp", "sctp"] as const) {
      const some = ports.filter((one) => one.protocol === protocol);
      if (some.length === 0 || (protocol === "sctp" && sys.stat(sctpDirectory) === undefined)) continue;
      const numbers = [...new Set(some.map(({ hostPort }) => hostPort))];
      for (const port of numbers.length > maxQuestions ? [0] : numbers) {
        for (const listener of listeners(connection, protocol, port)) {
          if (some.some((one) => isTaken(one, listener))) found.push({ protocol, listener });
        }
      }
    }
  } finally {
    connection.close();
  }
  const names = namesOf(
    found.map(({ listener }) => listener.inode),
    sys,
  );
  return found.map(({ protocol, listener: { port, address, inode } }) => ({
    protocol,
    port,
    address,
    process: names.get(inode),
  }));
}

function listeners(connection: NetlinkConnection, protocol: DiagProtocol, port: number): readonly Listener[] {
  try {
    return tableFamilies.flatMap((family) =>
      connection.dump(dumpListeners(family, protocol, port), ["list", `what listens on ${protocol}`]).map(readListener),
    );
  } catch (error) {
    if (error instanceof CoreError) return [];
    throw error;
  }
}

/** ::1 is never mapped. */
function isTaken({ hostPort, hostIp, families }: HostPort, { port, address, takesIpv4 }: Listener): boolean {
  if (port !== hostPort || address === "::1") return false;
  if (address === "0.0.0.0") return families.includes("ip");
  if (address === "::") return families.includes("ip6") || (takesIpv4 && families.includes("ip"));
  return hostIp === undefined ? families.includes(tableFamilyOf(address)) : hostIp === address;
}

/** A search of all processes may take long on a large node. */
const patienceMs = 200;

/** The processes that have these sockets, by inode. */
function namesOf(inodes: readonly number[], sys: Sys): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  if (inodes.length === 0) return names;
  const wanted = new Set(inodes);
  const deadline = sys.monotonicMs() + patienceMs;
  for (const pid of sys.listDir("/proc")) {
    if (names.size === wanted.size || sys.monotonicMs() > deadline) break;
    if (!/^\d+$/.test(pid)) continue;
    for (const inode of socketsOf(pid, sys)) {
      if (wanted.has(inode)) names.set(inode, `${sys.readFile(`/proc/${pid}/comm`).trim()} (pid ${pid})`);
    }
  }
  return names;
}
