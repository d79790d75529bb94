/**
 * UDP and SCTP between a node, its pods and the outside, with Perl, whose base package is on every Debian.
 *
 * For SCTP one packet is sufficient: INIT, the first of an association, on a raw socket, because many kernels lack SCTP but all track its
 * connections.
 */
import type { ChildProcess } from "node:child_process";
import type { Node } from "../lib/node/netns.ts";
import type { Spot } from "../lib/node/traffic.ts";

/** Starts a service that answers `<name> sees <address>:<port>` to each datagram, and waits until it listens. */
export function serveUdp(node: Node, spot: Spot, port: number, name: string): ChildProcess {
  const server = node.start(["perl", "-e", udpServer, String(port), name], at(spot));
  waitFor(node, spot, `ss -Hlun "sport = :${port}" | grep -q .`);
  return server;
}

/** The answer to one datagram from the given source port, or `undefined` if none arrives within a second. */
export function askUdp(node: Node, from: Spot, fromPort: number, host: string, port: number): string | undefined {
  const argv = ["perl", "-e", udpClient, String(fromPort), host, String(port)];
  const { status, stdout } = node.run(argv, at(from));
  return status === 0 ? stdout : undefined;
}

/** Sends an INIT to a port of a host; returns whether one arrives, and its source, at `spot` on its own port within a second. */
export function knockSctp(
  node: Node,
  { from, host, port, spot, to }: { from: Spot; host: string; port: number; spot: Spot; to: number },
): string | undefined {
  const file = "/run/.node/sctp";
  node.sh(`rm -f ${file}`);
  const listener = node.start(["sh", "-c", `exec perl -e '${sctpListener}' ${to} >${file}`], at(spot));
  waitFor(node, spot, "grep -q ':0084 ' /proc/net/raw");
  node.sh(`perl -e '${sctpSender}' ${host} ${port}`, at(from));
  node.sh(`for i in $(seq 50); do [ -s ${file} ] && break; sleep 0.02; done`);
  listener.kill("SIGKILL");
  return node.sh(`cat ${file}`) || undefined;
}

const udpServer = `
use Socket;
my ($port, $name) = @ARGV;
socket(my $s, PF_INET, SOCK_DGRAM, 0) or die $!;
bind($s, sockaddr_in($port, INADDR_ANY)) or die $!;
while (my $peer = recv($s, my $text, 2000, 0)) {
  my ($from, $address) = sockaddr_in($peer);
  send($s, "$name sees " . inet_ntoa($address) . ":$from", 0, $peer);
}`;

const udpClient = `
use Socket;
my ($own, $host, $port) = @ARGV;
socket(my $s, PF_INET, SOCK_DGRAM, 0) or die $!;
bind($s, sockaddr_in($own, INADDR_ANY)) or die $!;
send($s, "hello", 0, sockaddr_in($port, inet_aton($host))) or die $!;
my $ready = "";
vec($ready, fileno($s), 1) = 1;
select($ready, undef, undef, 1) or exit 1;
recv($s, my $text, 2000, 0) or exit 1;
print $text;`;

/** RFC 9260 section 3: ports, tag 0, checksum; one INIT chunk. The checksum is CRC-32C, in the order of a little-endian machine. */
const sctpSender = `
use Socket;
my ($host, $port) = @ARGV;
my $chunk = pack("CCnNNnnN", 1, 0, 20, 1, 65536, 1, 1, 1);
sub crc { my $c = 0xffffffff; for (unpack("C*", $_[0])) { $c ^= $_; for (1..8) { $c = $c & 1 ? ($c >> 1) ^ 0x82f63b78 : $c >> 1 } } $c ^ 0xffffffff }
my $sum = crc(pack("nnNN", 4444, $port, 0, 0) . $chunk);
socket(my $s, PF_INET, SOCK_RAW, 132) or die $!;
send($s, pack("nnNV", 4444, $port, 0, $sum) . $chunk, 0, sockaddr_in(0, inet_aton($host))) or die $!;`;

const sctpListener = `
use Socket;
$| = 1;
socket(my $s, PF_INET, SOCK_RAW, 132) or die $!;
while (recv($s, my $packet, 2000, 0)) {
  my $at = 4 * (ord($packet) & 15);
  next unless unpack("n", substr($packet, $at + 2, 2)) == $ARGV[0];
  print "from " . inet_ntoa(substr($packet, 12, 4));
  last;
}`;

function waitFor(node: Node, spot: Spot, condition: string): void {
  node.sh(`for i in $(seq 100); do ${condition} && exit 0; sleep 0.02; done; exit 1`, at(spot));
}

function at(spot: Spot): { in?: string } {
  return spot === undefined ? {} : { in: spot };
}
