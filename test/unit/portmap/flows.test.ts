/** The flows that portmap deletes from connection tracking when a container gets or loses a host port. */
import { beforeEach, describe, expect, test } from "vitest";
import { FakeIptables } from "../../lib/fake/iptables.ts";
import { type FakeFlow, FakeNft } from "../../lib/fake/nft.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";
import { c1, c2, type Port, portmapOn, resultOf, web } from "./world.ts";

const first = resultOf("10.0.0.5/32", "fd00::5/128");
const second = resultOf("10.0.0.6/32", "fd00::6/128");
const node4 = "192.0.2.1";
const elsewhere = "203.0.113.7";

let machine: FakeMachine;
let nft: FakeNft;
let plugin: ReturnType<typeof portmapOn>;

beforeEach(() => {
  machine = new FakeMachine();
  nft = new FakeNft();
  const mine = nft;
  machine.netfilter = () => mine;
  new FakeIptables(machine);
  machine.files.makeDirs("/run/tortie", 0o755);
  const { host } = machine.kernel;
  host.addAddress(host.addLink({ name: "cali1", kind: "veth", mac: "ee:ee:ee:ee:ee:ee", mtu: 1500 }), `${node4}/24`);
  plugin = portmapOn(new FakeSys({ machine }));
});

const flow = (more: Partial<FakeFlow>): FakeFlow => ({
  family: "ip",
  protocol: "tcp",
  destination: node4,
  port: 8080,
  answerer: "10.0.0.5",
  ...more,
});

const ports: readonly Port[] = (["tcp", "udp", "sctp"] as const).map((protocol) => ({ ...web, protocol }));

describe.each(["nftables", "iptables"])("portmap: by %s", (backend) => {
  test.each(["DEL", "GC"])(
    "%s forgets what the container answered at its ports, of every protocol and both families",
    (operation) => {
      plugin.add(c1, ports, first, { backend });
      const gone = (["tcp", "udp", "sctp"] as const).flatMap((protocol) => [
        flow({ protocol }),
        flow({ protocol, family: "ip6", destination: "2001:db8::1", answerer: "fd00::5" }),
      ]);
      const kept = [
        flow({ answerer: elsewhere, destination: elsewhere }),
        flow({ port: 8081 }),
        flow({ answerer: "10.0.0.6" }),
        flow({ protocol: "udp", answerer: elsewhere }),
      ];
      nft.flows = [...gone, ...kept];
      if (operation === "DEL") plugin.del(c1, { backend });
      else plugin.gc("net1", []);
      expect(nft.flows).toEqual(kept);
    },
  );

  test("DEL without snat knows the container's address too", () => {
    plugin.add(c1, ports, first, { backend, snat: false });
    nft.flows = [flow({}), flow({ answerer: elsewhere })];
    plugin.del(c1, { backend });
    expect(nft.flows).toEqual([flow({ answerer: elsewhere })]);
  });

  test("a takeover forgets them, as DEL would have", () => {
    plugin.add(c1, ports, first, { backend });
    nft.flows = [flow({}), flow({ answerer: elsewhere })];
    // The address belongs to a new container: c1 is dead.
    plugin.add(c2, ports, first, { backend });
    expect(nft.flows).toEqual([flow({ answerer: elsewhere })]);
  });

  test("ADD forgets those of UDP that nobody answered, at one address where it is for one, and no TCP", () => {
    nft.flows = [flow({ protocol: "udp", answerer: node4 }), flow({ answerer: node4 })];
    plugin.add(c1, ports, first, { backend });
    expect(nft.flows).toEqual([flow({ answerer: node4 })]);
    const at = { ...web, protocol: "udp", hostPort: 9000, hostIP: node4 };
    nft.flows = [node4, elsewhere].map((destination) =>
      flow({ protocol: "udp", port: 9000, destination, answerer: destination }),
    );
    plugin.add(c2, [at], second, { backend });
    expect(nft.flows.map(({ destination }) => destination)).toEqual([elsewhere]);
  });

  test("many ports take one look through the kernel's table", () => {
    const many = Array.from({ length: 100 }, (_, index) => ({ ...web, hostPort: 1000 + index }));
    plugin.add(c1, many, first, { backend });
    nft.forgotten.length = 0;
    nft.flows = [flow({ port: 1042 }), flow({ answerer: "10.0.0.6" })];
    plugin.del(c1, { backend });
    expect(nft.forgotten).toEqual(["ip answered by 10.0.0.5", "ip6 answered by fd00::5"]);
    expect(nft.flows).toEqual([flow({ answerer: "10.0.0.6" })]);
  });
});

test("portmap ADD deletes SCTP flows to the node's addresses that another container answered, but no forwarded one", () => {
  const kept = [
    flow({ protocol: "sctp", answerer: "10.0.0.6" }),
    flow({ protocol: "sctp", destination: elsewhere, answerer: elsewhere }),
    flow({ protocol: "sctp", port: 3868, answerer: node4 }),
  ];
  nft.flows = [flow({ protocol: "sctp", answerer: node4 }), flow({ protocol: "sctp" }), ...kept];
  plugin.add(c2, [{ ...web, protocol: "sctp" }], second);
  expect(nft.flows).toEqual(kept);
});

test("portmap deletes flows one by one on a kernel before 5.8, which has no filter", () => {
  nft.isOld = true;
  plugin.add(c1, ports, first);
  nft.flows = [flow({}), flow({ protocol: "sctp" }), flow({ answerer: elsewhere })];
  plugin.del(c1);
  expect(nft.flows).toEqual([flow({ answerer: elsewhere })]);
});
