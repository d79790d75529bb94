import { expect, test } from "vitest";
import type { Cli } from "../../../../src/cli/cli.ts";
import { type FirewallFacts, readIptables } from "../../../../src/cli/doctor/firewall.ts";
import { checkHostProcesses, gatherListeners } from "../../../../src/cli/doctor/host-processes.ts";
import { FakeSys } from "../../../lib/fake/sys.ts";

const nftTable = (elements: readonly (readonly [set: string, key: string])[]): FirewallFacts => ({
  nftFault: undefined,
  nftTables: [
    {
      family: "ip",
      name: "tortie_portmap",
      owners: [],
      elements: elements.map(([set, key]) => ({ set, key, comment: "tortie:net/c1/eth0", target: "10.0.0.5" })),
    },
  ],
  iptables: [],
});

/** As the kernel of a little-endian machine prints them. */
const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 1 0000000000000000 100 0 0 10 0
   1: 0100007F:08AE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 43 1 0000000000000000 100 0 0 10 0
`;
const udp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  9: 00000000000000000000000000000000:14E9 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 44 2 0000000000000000 0
 10: B80D0120000000000000000001000000:14E9 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 45 2 0000000000000000 0
`;
const sctp = ` ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS
ffff 0000 2   10  28   3868      0 46 192.0.2.1 192.0.2.2
`;

function subjects(firewall: FirewallFacts): readonly string[] {
  const sys = new FakeSys();
  sys.machine.files.makeDirs("/proc/net/sctp", 0o755);
  for (const [name, text] of Object.entries({ tcp, udp6, "sctp/eps": sctp })) {
    sys.machine.files.create(`/proc/net/${name}`, text, 0o444);
  }
  return checkHostProcesses(firewall, gatherListeners({ sys } as unknown as Cli, firewall)).map(
    ({ subject }) => subject,
  );
}

test("gatherListeners() finds listeners on host ports by protocol and address", () => {
  expect(subjects(nftTable([["ports", "tcp . 8080"]]))).toEqual(["0.0.0.0:8080/tcp"]);
  expect(subjects(nftTable([["ports", "tcp . 2222"]]))).toEqual(["127.0.0.1:2222/tcp"]);
  expect(subjects(nftTable([["hostip_ports", "192.0.2.1 . tcp . 2222"]]))).toEqual([]);
  expect(subjects(nftTable([["ports", "udp . 5353"]]))).toEqual(["[::]:5353/udp"]);
  expect(subjects(nftTable([["hostip_ports", "192.0.2.2 . sctp . 3868"]]))).toEqual(["192.0.2.2:3868/sctp"]);
  expect(
    subjects(
      nftTable([
        ["waiting_ports", "tcp . 8080 . 10.0.0.5"],
        ["conditions", "tcp . 8080"],
      ]),
    ),
  ).toEqual([]);
});

test("gatherListeners() works with iptables too", () => {
  const text = `*nat
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"c1\\"" -m multiport --dports 8080,2222 -j CNI-DN-1
-A CNI-DN-1 -s 10.0.0.5/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.5:80
-A CNI-DN-1 -d 192.0.2.1/32 -p tcp -m tcp --dport 2222 -j DNAT --to-destination 10.0.0.5:80
COMMIT
`;
  const tables = readIptables("ip", text);
  expect(tables.entries[0]?.ports).toEqual([
    { protocol: "tcp", port: 8080, hostIp: undefined },
    { protocol: "tcp", port: 2222, hostIp: "192.0.2.1" },
  ]);
  expect(subjects({ nftFault: undefined, nftTables: [], iptables: [tables] })).toEqual(["0.0.0.0:8080/tcp"]);
});

test("checkHostProcesses() names the process, the effect and the remedy, and skips reservations", () => {
  const listener = { protocol: "tcp", address: "0.0.0.0", port: 8080, inode: 1 };
  const firewall = nftTable([["ports", "tcp . 8080"]]);
  expect(checkHostProcesses(firewall, [{ ...listener, process: "sshd (pid 42)" }])).toMatchObject([
    {
      id: "host-port-of-process",
      severity: "warning",
      subject: "0.0.0.0:8080/tcp",
      text: "is the port on which sshd (pid 42) listens, but packets to it go to the pod at 10.0.0.5, as its host port",
      remedy: "# give the process or the pod another port",
    },
  ]);
  expect(checkHostProcesses(firewall, [{ ...listener, process: "conmon (pid 42)" }])).toEqual([]);
});
