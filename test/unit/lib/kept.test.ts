import { describe, expect, test } from "vitest";
import { leaks } from "../../lib/node/kept.ts";
import { diff } from "../../lib/node/snapshot.ts";

describe("leaks()", () => {
  test.each([
    "- sysctl ipv4/ip_forward = 0",
    "+ sysctl ipv6/conf/all/forwarding = 1",
    "+ file /var/lib/tortie/ippools/default-ipv4-ippool.json 1 2",
    "+ file /run/tortie/",
    "+ file /run/tortie/endpoints/",
    "+ file /run/tortie/ipam/blocks/192-168-61-192-26.json 1 2",
    "+ file /run/tortie/ipam.lock 4294967295 0",
    "+ file /var/log/calico/cni/cni.log 1 2",
    "+ nft table ip nat / chain PREROUTING",
    "+ nft table ip nat / chain PREROUTING / type nat hook prerouting priority dstnat; policy accept;",
    "+ iptables *nat :PREROUTING ACCEPT",
  ])("explains %s", (line) => {
    expect(leaks(line)).toEqual([]);
  });

  test.each([
    "+ link {}",
    "- route {}",
    "+ nft table ip tortie",
    "+ nft table ip nat / chain CNI-HOSTPORT-DNAT",
    "+ nft table ip nat / chain PREROUTING / counter jump CNI-HOSTPORT-DNAT",
    "+ iptables *nat :CNI-HOSTPORT-DNAT -",
    "+ iptables *nat -A OUTPUT -j CNI-HOSTPORT-DNAT",
    "+ sysctl ipv4/conf/cali0/proxy_arp = 1",
    "+ file /run/tortie/endpoints/net:c1:eth0.json 1 2",
    "+ file /run/tortie/ipam/handles/net.c1.json 1 2",
    "+ file /run/tortie/ipam/blocks-1.json 1 2",
    "+ file /etc/cni/net.d/10.conflist 1 2",
  ])("reports %s", (line) => {
    expect(leaks(line)).toEqual([line]);
  });
});

describe("diff()", () => {
  test("names what is gone and what has come", () => {
    expect(diff("a\nb", "b\nc")).toBe("- a\n+ c");
  });

  test("of equal texts is empty", () => {
    expect(diff("a\nb", "a\nb")).toBe("");
  });
});
