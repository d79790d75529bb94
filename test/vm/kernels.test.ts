/**
 * The whole chain on Debian's kernels, in virtual machines: what differs between kernels, once for each.
 *
 * The steps of a chain depend on each other, as on a node. `TORTIE_VM_KERNELS=5.10,newest` selects kernels.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Conflist, loadConflist } from "../lib/conflist.ts";
import { snapshot } from "../lib/node/snapshot.ts";
import { chosenKernels, whyNoGuests } from "../lib/runtimes/guest.ts";
import { example, requireBuild } from "../lib/suite.ts";
import { lifeOfPods } from "./life-of-pods.ts";
import {
  boot,
  byIptables,
  dual,
  expectClean,
  newPod,
  ofModules,
  plain,
  refusal,
  requests,
  stage,
  useIptables,
  variants,
} from "./stage.ts";

const why = whyNoGuests();

/** Modules that are prevented from loading, and how STATUS reports each. */
const lacking: readonly (readonly [string, string, RegExp])[] = [
  ["veth", "calico's", /kind "veth": .*; load module veth$/],
  ["nf_tables", "calico's", /cannot use nf_tables: the kernel does not support them; load module nf_tables$/],
  ["nft_chain_nat", "calico's", /no nat chains in nf_tables; load module nft_chain_nat$/],
  ["nf_nat", "calico's", /no nat chains in nf_tables; load module nft_chain_nat$/],
  ["nft_masq", "calico's", /no masquerading in nf_tables; load module nft_masq$/],
  ["ifb", "bandwidth's", /kind "ifb": .*; load module ifb$/],
  ["sch_tbf", "bandwidth's", /kind "tbf": .*; load module sch_tbf$/],
  ["sch_ingress", "bandwidth's", /kind "ingress": .*; load module sch_ingress$/],
  ["cls_u32", "bandwidth's", /kind "u32" .*; load module cls_u32$/],
  ["act_mirred", "bandwidth's", /action "mirred": .*; load module act_mirred$/],
  ["nft_fib_ipv4", "portmap's", /no fib lookups in nf_tables; load module nft_fib_ipv4$/],
  ["nft_nat", "portmap's", /no destination NAT in nf_tables; load module nft_nat$/],
  ["nft_ct", "portmap's", /no conntrack matches or masquerading in nf_tables; load module nft_ct nft_masq$/],
];

beforeEach((context) => {
  context.skip(why !== undefined, why);
});

describe.each(chosenKernels())("Linux %s", (kernel) => {
  beforeAll(() => {
    if (why !== undefined) return;
    requireBuild();
    boot(kernel);
  }, 900_000);

  afterAll(async () => {
    await stage.guest?.stop();
  });

  test("STATUS with no modules loaded; the first ADD loads the rest", () => {
    stage.clean = snapshot(stage.guest);
    for (const list of [plain, dual]) stage.runner.status(list);
    expectClean(ofModules);
    const pod = newPod("first");
    stage.runner.add(plain, pod);
    stage.runner.check(plain, pod);
    stage.runner.del(plain, pod);
    stage.guest.removePod("first");
    expectClean(ofModules);
  });

  test("VERSION; loopback", () => {
    for (const type of ["calico", "calico-ipam", "bandwidth", "portmap", "loopback"]) {
      expect(stage.runner.version(type).supportedVersions).toContain("1.1.0");
    }
    const list = loadConflist(example("99-loopback.conflist"));
    const pod = { ...newPod("lo1"), ifname: "lo" };
    stage.guest.sh("ip -n lo1 link set lo down");
    stage.runner.add(list, pod);
    expect(stage.guest.sh("ip -n lo1 link show lo")).toContain("LOWER_UP");
    stage.runner.check(list, pod);
    stage.runner.del(list, pod);
    stage.guest.removePod("lo1");
  });

  // Tests block this process, so let vitest communicate between them.
  afterEach(() => new Promise((resolve) => setTimeout(resolve, 100)));

  describe("IPv4", () => lifeOfPods(plain, [4]));
  describe("both families", () => lifeOfPods(dual, [4, 6]));
  describe.each(variants)("both families by iptables-%s", (variant) => {
    beforeAll(() => {
      if (why === undefined) useIptables(variant);
    });
    lifeOfPods(byIptables, [4, 6]);
  });

  describe("without", () => {
    beforeAll(() => {
      if (why !== undefined) return;
      // The node's uplink would keep veth in use; the directory's files prevent the kernel from loading modules.
      stage.guest.sh(`ip link del uplink; ip netns del outside; mkdir -p /run/.node/modprobe.d; printf '#!/bin/sh\\nexec modprobe -C /run/.node/modprobe.d "$@"\\n' > /run/.node/modprobe
        chmod 755 /run/.node/modprobe; echo /run/.node/modprobe > /proc/sys/kernel/modprobe`);
    });
    const proveLack = (module: string, says: RegExp, list: Conflist): void =>
      withoutModule(module, () => {
        expect(refusal(() => stage.runner.status(list)).message).toMatch(says);
        const pod = newPod("p9", requests(8080));
        expect(refusal(() => stage.runner.add(list, pod)).code).toBe(100);
        stage.runner.del(list, pod);
        stage.guest.removePod("p9");
        expect(stage.guest.sh(madeOnHost)).toBe("");
      });

    test.each(lacking)("%s: %s STATUS says so, nothing stays after ADD, DEL succeeds", (module, _, says) => {
      proveLack(module, says, plain);
    });

    test.each(variants)("xt_multiport of iptables-%s: portmap's STATUS says so, and so on", (variant) => {
      useIptables(variant);
      proveLack("xt_multiport", /Extension multiport .*missing kernel module/, byIptables);
    });

    test("nft_fib_ipv6: IPv4 works", () => {
      withoutModule("nft_fib_ipv6", () => {
        stage.runner.status(dual);
        const pod = newPod("p9", requests(8080));
        stage.runner.add(plain, pod);
        stage.runner.check(plain, pod);
        stage.runner.del(plain, pod);
        stage.guest.removePod("p9");
      });
    });
  });

  test("the kernel logs no warning", () => {
    const bad =
      /WARNING|BUG:|Oops|Call Trace|unregister_netdevice|refcount|hung task|lockup|Unknown symbol|page allocation failure/;
    const lines = stage.guest.sh("dmesg").split("\n");
    expect(lines.filter((line) => bad.test(line))).toEqual([]);
  });
});

/** Prints the objects of the plugins on the host; without nf_tables `nft` fails. */
const madeOnHost = `ip -o link | grep -E "cali|bwp" || true; nft list ruleset 2>/dev/null | grep tortie || true
  ls /run/tortie/endpoints 2>/dev/null || true`;

function withoutModule(module: string, body: () => void): void {
  unload();
  stage.guest.sh(`echo "install ${module} /bin/false" > /run/.node/modprobe.d/lacking.conf`);
  expect(stage.guest.sh(`lsmod | grep "^${module} " || true`), "what is still in use").toBe("");
  try {
    body();
  } finally {
    stage.guest.sh("rm -f /run/.node/modprobe.d/lacking.conf");
  }
}

/** Unloads all unused network modules. */
function unload(): void {
  stage.guest.sh(`rm -rf /run/tortie /var/lib/tortie
    nft flush ruleset 2>/dev/null || true
    rmmod iptable_nat iptable_raw ip6table_nat ip6table_raw 2>/dev/null || true
    more=yes
    while [ $more = yes ]; do
      more=no
      for module in $(lsmod | awk 'NR > 1 && $3 == 0 { print $1 }'); do
        case $module in ext4 | virtio* | overlay | crc*) ;; *) rmmod $module 2>/dev/null && more=yes ;; esac
      done
    done`);
}
