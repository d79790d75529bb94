/** Traffic between a node, its pods and the outside: pings, small TCP services that report their client, and measured rates. */
import type { ChildProcess } from "node:child_process";
import type { Machine, Node } from "./netns.ts";

/** Source or destination of traffic: the name of a pod, `"outside"`, or `undefined` for the node itself. */
export type Spot = string | undefined;

export interface Rate {
  /** Of IP packets, as counted by the receiver: up to 4.5 % below the rate on the wire, because a train of segments counts only one header. */
  readonly bitsPerSecond: number;
}

/** Whether one echo request is answered. */
export function ping(node: Machine, from: Spot, address: string): boolean {
  return node.run(["ping", "-n", "-c", "1", "-W", "2", address], at(from)).status === 0;
}

/**
 * Starts a TCP service that answers `<name> sees <address of the peer>`, on all addresses or on one, and waits until it listens. It is busybox's
 * web server with one CGI program, which serves many clients and both families.
 */
export function serve(node: Node, spot: Spot, port: number, name = spot ?? node.name, address?: string): ChildProcess {
  const server = node.start(serviceOf(node, port, name, address), at(spot));
  waitForPort(node, spot, port);
  return server;
}

/** Prepares the service and returns the command that runs it. */
export function serviceOf(node: Machine, port: number, name: string, address?: string): readonly string[] {
  const directory = `/run/.node/www-${name}-${port}`;
  const program = `${directory}/cgi-bin/who`;
  node.sh(`mkdir -p ${directory}/cgi-bin; cat > ${program}; chmod 755 ${program}`, { stdin: cgi(name) });
  const where = address === undefined ? String(port) : `${address}:${port}`;
  return ["busybox", "httpd", "-f", "-p", where, "-h", directory];
}

/** The service's answer; throws on a timeout. */
export function ask(node: Machine, from: Spot, host: string, port: number): string {
  const { status, stdout, stderr } = tryAsk(node, from, host, port);
  if (status !== 0) throw new Error(`cannot reach ${host} port ${port} from ${from ?? node.name}: ${stderr.trim()}`);
  return stdout;
}

/** Whether a service answers at a host and port. */
export function answers(node: Machine, from: Spot, host: string, port: number): boolean {
  return tryAsk(node, from, host, port).status === 0;
}

/** The text that a UDP port of one spot receives when another sends `text` to a host and port. */
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
  /** Seconds to skip: in the first one the token bucket is emptied. */
  readonly after?: number;
  readonly seconds?: number;
  /** A lower rate is measured again, at most twice. */
  readonly least?: number;
}

/**
 * Measures the rate of one TCP connection from one spot to an address of another. A busy machine, or a connection that recovers from a burst,
 * can be slower than a limit but never faster, so the highest measurement counts.
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

/** A new port for each measurement: the previous server may not have ended yet. */
let ratePort = 5200;

/**
 * The rate at which packets arrive in the next seconds, in bits per second. The octets that iperf3 receives are no measure: TCP holds back
 * what follows a lost segment, and up to a second's worth, delivered after the counting starts, would make the rate exceed the limit. The clock
 * is read outside of the counter readings, so a busy machine can only lower the result.
 */
function arrivals(node: Machine, spot: Spot, address: string, after: number, seconds: number): number {
  const counter = address.includes(":") ? "Ip6InOctets" : "IpExtInOctets";
  const count = `nstat -asz ${counter} | awk '/${counter}/ { print $2 }'`;
  const samples = node.sh(`sleep ${after}; date +%s%N; ${count}; sleep ${seconds}; ${count}; date +%s%N`, at(spot));
  const [began = 0, first = 0, last = 0, ended = 0] = samples.trim().split("\n").map(Number);
  if (last - first < leastOctets) throw new Error(`cannot measure the rate: nothing arrives at ${address}`);
  return (8e9 * (last - first)) / (ended - began);
}

/** One full segment; with less there was no connection. */
const leastOctets = 1500;

export function tryAsk(
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
 * The CGI program of `serve`; the name may be a shell expression. The server listens on an IPv6 socket, so an IPv4 peer appears as
 * `[::ffff:192.0.2.1]`.
 */
export function cgi(name: string): string {
  const strip = "sed -E 's/^\\[(::ffff:)?//; s/]$//'";
  return `#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n${name} sees "; printf %s "$REMOTE_ADDR" | ${strip}`;
}

/** Waits until a process listens on a TCP port. Throws on a timeout. */
export function waitForPort(node: Machine, spot: Spot, port: number): void {
  node.sh(
    `for i in $(seq 500); do ss -Hltn "sport = :${port}" | grep -q . && exit 0; sleep 0.02; done; exit 1`,
    at(spot),
  );
}

function at(spot: Spot): { in?: string } {
  return spot === undefined ? {} : { in: spot };
}
