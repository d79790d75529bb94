/** Processes of the node that listen on mapped host ports: their packets go to the container instead. */

import { portmapTable } from "../../../plugins/portmap/names.ts";
import { socketsOf } from "../../host/process-sockets.ts";
import type { Sys } from "../../host/sys.ts";
import { familyOf, formatAddress, type TableFamily } from "../../net/address.ts";
import type { Cli } from "../cli.ts";
import { processName } from "../node/processes.ts";
import type { Finding } from "./finding.ts";
import type { FirewallFacts } from "./firewall.ts";

/** A host port that leads to a container. */
export interface MappedPort {
  readonly family: TableFamily;
  readonly protocol: string;
  readonly port: number;
  /** One address of the host; `undefined`: all. */
  readonly hostIp: string | undefined;
  readonly target: string | undefined;
}

export interface ListenerFact {
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
  readonly inode: number;
  /** `sshd (pid 42)`; `undefined` if the process is not visible. */
  readonly process: string | undefined;
}

/** podman's container monitor listens on published ports to reserve them. */
const reserving = /^(conmon|podman|rootlessport) /;

/** The sockets that listen on these ports. */
export function gatherListeners(cli: Cli, firewall: FirewallFacts): readonly ListenerFact[] {
  const mapped = mappedPorts(firewall);
  if (mapped.length === 0) return [];
  const found = [...readSockets(cli.sys), ...readSctp(cli.sys)].filter((one) =>
    mapped.some((port) => isTaken(port, one)),
  );
  const names = namesOf(cli.sys, new Set(found.map(({ inode }) => inode)));
  return found.map((one) => ({ ...one, process: names.get(one.inode) }));
}

export function checkHostProcesses(firewall: FirewallFacts, listeners: readonly ListenerFact[]): readonly Finding[] {
  const mapped = mappedPorts(firewall);
  return listeners
    .filter(({ process }) => process === undefined || !reserving.test(process))
    .map((one) => {
      const port = mapped.find((candidate) => isTaken(candidate, one));
      const where = `${familyOf(one.address) === 6 ? `[${one.address}]` : one.address}:${one.port}/${one.protocol}`;
      return {
        id: "host-port-of-process",
        section: "firewall",
        severity: "warning",
        subject: where,
        text: `is the port on which ${one.process ?? "a process that is not visible from here"} listens, but packets to it go to the pod at ${port?.target ?? "another address"}, as its host port`,
        remedy: "# give the process or the pod another port",
      } as const;
    });
}

export function mappedPorts({ nftTables, iptables }: FirewallFacts): readonly MappedPort[] {
  const inNft = nftTables
    .filter(({ name }) => name === portmapTable)
    .flatMap(({ family, elements }) =>
      elements
        .filter(({ set }) => set === "ports" || set === "hostip_ports")
        .map(({ key, target }) => {
          const [port, protocol = "", hostIp] = key.split(" . ").reverse();
          return { family, protocol, port: Number(port), hostIp, target };
        }),
    );
  return [
    ...inNft,
    ...iptables.flatMap(({ family, entries }) =>
      entries.flatMap(({ ports, targets }) => ports.map((port) => ({ family, ...port, target: targets[0] }))),
    ),
  ];
}

/** ::1 is never mapped; a socket on `::` takes IPv4 too. */
function isTaken({ family, protocol, port, hostIp }: MappedPort, socket: Omit<ListenerFact, "process">): boolean {
  if (protocol !== socket.protocol || port !== socket.port || socket.address === "::1") return false;
  if (socket.address === "::") return true;
  if ((familyOf(socket.address) === 6) !== (family === "ip6")) return false;
  return hostIp === undefined || socket.address === "0.0.0.0" || socket.address === hostIp;
}

/** The states in /proc/net: TCP_LISTEN, and for UDP TCP_CLOSE, the state of a socket that receives from any address. */
const listening: Readonly<Record<string, string>> = { tcp: "0A", udp: "07" };

type Socket = Omit<ListenerFact, "process">;

/** /proc/net/tcp: `0: 0100007F:1F90 00000000:0000 0A …`, the address in words in host byte order. */
function readSockets(sys: Sys): readonly Socket[] {
  return Object.entries(listening).flatMap(([protocol, state]) =>
    ["", "6"].flatMap((suffix) =>
      linesOf(sys, `/proc/net/${protocol}${suffix}`).flatMap((fields) => {
        const [, local = "", , st] = fields;
        const [address = "", port = ""] = local.split(":");
        if (st !== state) return [];
        const words = (address.match(/.{8}/g) ?? []).map((word) => Number.parseInt(word, 16));
        const bytes = new Uint8Array(Uint32Array.from(words).buffer);
        return [{ protocol, address: formatAddress(bytes), port: Number.parseInt(port, 16), inode: Number(fields[9]) }];
      }),
    ),
  );
}

/** /proc/net/sctp/eps: `ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS`; state 10 is listening. */
function readSctp(sys: Sys): readonly Socket[] {
  return linesOf(sys, "/proc/net/sctp/eps").flatMap(([, , , state, , port, , inode, ...addresses]) =>
    state === "10"
      ? addresses.map((address) => ({ protocol: "sctp", address, port: Number(port), inode: Number(inode) }))
      : [],
  );
}

/** Without the heading. */
function linesOf(sys: Sys, path: string): readonly (readonly string[])[] {
  if (sys.stat(path) === undefined) return [];
  return sys
    .readFile(path)
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/));
}

function namesOf(sys: Sys, inodes: ReadonlySet<number>): ReadonlyMap<number, string> {
  if (inodes.size === 0) return new Map();
  const pids = sys.listDir("/proc").filter((name) => /^\d+$/.test(name));
  return new Map(
    pids.flatMap((pid) =>
      socketsOf(pid, sys)
        .filter((inode) => inodes.has(inode))
        .map((inode) => [inode, `${processName(sys, Number(pid)) ?? "a process"} (pid ${pid})`] as const),
    ),
  );
}
