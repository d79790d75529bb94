/** Traffic between a node, its pods and the outside: pings, small TCP services that tell whom they see, and measured rates. */
import type { ChildProcess } from "node:child_process";
import type { Machine, Node } from "./netns.ts";

/** Where traffic comes from or goes to: the name of a pod, `"outside"`, or the node itself when `undefined`. */
export type Spot = string | undefined;

export interface Rate {
  /** IP packets, as the receiver counts them: up to 4.5 % below the rate on the wire, as a train of segments is counted with one header. */
  readonly bitsPerSecond: number;
}

/** Whether one echo request is answered. */
export function ping(node: Machine, from: Spot, address: string): boolean {
  return node.run(["ping", "-n", "-c", "1", "-W", "2", address], at(from)).status === 0;
}

/**
 * Starts a TCP service that answers `<name> sees <address of the peer>`, on every address of the spot or on one, and waits until it listens.
 * busybox's web server with one CGI program: it serves many clients and both families.
 */
export function serve(node: Node, spot: Spot, port: number, name = spot ?? node.name, address?: string): ChildProcess {
  const server = node.start(serviceOf(node, port, name, address), at(spot));
  waitForPort(node, spot, port);
  return server;
}

/** Prepares the service, and returns the command that serves. */
export function serviceOf(node: Machine, port: number, name: string, address?: string): readonly string[] {
  const directory = `/run/.node/www-${name}-${port}`;
  const program = `${directory}/cgi-bin/who`;
  node.sh(`mkdir -p ${directory}/cgi-bin; cat > ${program}; chmod 755 ${program}`, { stdin: cgi(name) });
  const where = address === undefined ? String(port) : `${address}:${port}`;
  return ["busybox", "httpd", "-f", "-p", where, "-h", directory];
}

/** What the service behind a host and port says; throws when nothing answers in time. */
export function ask(node: Machine, from: Spot, host: string, port: number): string {
  const { status, stdout, stderr } = tryAsk(node, from, host, port);
  if (status !== 0) throw new Error(`cannot reach ${host} port ${port} from ${from ?? node.name}: ${stderr.trim()}`);
  return stdout;
}

/** Whether anything answers at a host and port. */
export function answers(node: Machine, from: Spot, host: string, port: number): boolean {
  return tryAsk(node, from, host, port).status === 0;
}

/** What a UDP port of one spot receives when another sends `text` to a host and port. */
export function receive(
  node: Machine,
  to: { readonly spot: Spot; readonly port: number },
  from: { readonly spot: Spot; readonly host: string; readonly port: number },
  text = "hello",
): string {
  const file = `/run/.node/received-${to.port}`;
  node.sh(
    `timeout 5 nc -u -l ${to.port} > ${file} 2>/dev/null < /dev/null &
    for i in $(seq 500); do ss -Hlun "sport = :${to.port}" | grep -q . && exit 0; sleep 0.02; done; exit 1`,
    at(to.spot),
  );
  node.sh(`echo ${text} | nc -u -w 1 ${from.host} ${from.port}`, at(from.spot));
  return node.sh(`cat ${file}`).trim();
}

export interface Measuring {
  /** Seconds that do not count: in the first one the bucket is emptied. */
  readonly after?: number;
  readonly seconds?: number;
  /** What is less is measured again, twice at most. */
  readonly least?: number;
}

/**
 * Measures the rate of one TCP connection from one spot to an address of another. A busy machine is slower than a limit, never faster, and
 * so is a connection that recovers from a burst: the highest of the measurements counts.
 */
export function measureRate(node: Machine, from: Spot, to: Spot, address: string, options: Measuring = {}): Rate {
  const { after = 1, seconds = 2, least = 0 } = options;
  let bitsPerSecond = 0;
  for (let turn = 0; turn < 3 && (turn === 0 || bitsPerSecond < least); turn++) {
    const port = ++ratePort;
    const server = ["iperf3", "-s", "-1", "-p", String(port)];
    const client = ["iperf3", "-c", address, "-p", String(port), "-t", String(after + seconds + 1)];
    node.start(["timeout", String(after + seconds + 20), ...server], at(to));
    waitForPort(node, to, port);
    node.start(client, at(from));
    bitsPerSecond = Math.max(bitsPerSecond, arrivals(node, to, address, after, seconds));
  }
  return { bitsPerSecond };
}

/** Of each measurement its own: the server of the one before may still be about to end. */
let ratePort = 5200;

/**
 * What arrives in some seconds from now, in bits per second; not what iperf3 is handed: TCP keeps what follows a lost segment, and a second's
 * worth of it, handed over when the counting has begun, would count as faster than the limit. The clock is read outside of the counts, so
 * that a busy machine only ever seems slower.
 */
function arrivals(node: Machine, spot: Spot, address: string, after: number, seconds: number): number {
  const counter = address.includes(":") ? "Ip6InOctets" : "IpExtInOctets";
  const count = `nstat -asz ${counter} | awk '/${counter}/ { print $2 }'`;
  const samples = node.sh(`sleep ${after}; date +%s%N; ${count}; sleep ${seconds}; ${count}; date +%s%N`, at(spot));
  const [began = 0, first = 0, last = 0, ended = 0] = samples.trim().split("\n").map(Number);
  if (last - first < leastOctets) throw new Error(`cannot measure the rate: nothing arrives at ${address}`);
  return (8e9 * (last - first)) / (ended - began);
}

/** Of one full segment: less is no connection. */
const leastOctets = 1500;

function tryAsk(
  node: Machine,
  from: Spot,
  host: string,
  port: number,
): { status: number | undefined; stdout: string; stderr: string } {
  const { status, stdout, stderr } = node.run(
    ["timeout", "4", "bash", "--norc", "-c", client, "client", host, String(port)],
    at(from),
  );
  const body = stdout.split("\r\n\r\n")[1]?.trim();
  return { status: body === undefined ? status || 1 : status, stdout: body ?? "", stderr };
}

const client = `exec 3<>"/dev/tcp/$1/$2" && printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3`;

/**
 * The program behind `serve`; the name may be an expression of the shell. The server listens on an IPv6 socket: an IPv4 peer shows as
 * `[::ffff:192.0.2.1]`.
 */
export function cgi(name: string): string {
  const strip = "sed -E 's/^\\[(::ffff:)?//; s/]$//'";
  return `#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n${name} sees "; printf %s "$REMOTE_ADDR" | ${strip}`;
}

/** Waits until something listens on a TCP port. Throws when nothing does in time. */
export function waitForPort(node: Machine, spot: Spot, port: number): void {
  node.sh(
    `for i in $(seq 500); do ss -Hltn "sport = :${port}" | grep -q . && exit 0; sleep 0.02; done; exit 1`,
    at(spot),
  );
}

function at(spot: Spot): { in?: string } {
  return spot === undefined ? {} : { in: spot };
}
