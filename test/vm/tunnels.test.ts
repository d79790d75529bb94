/**
 * `tortie-net` on Debian's kernels: IPIP, whose module makes the device, and VXLAN; what a kernel reads back must be what was planned, or each pass
 * would change it again. `TORTIE_VM_KERNELS=5.10,newest` selects kernels.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { encodeLine, parseLine, type ReportAnswer } from "../../src/net-protocol/messages.ts";
import type { NodeResource, Scope } from "../../src/plan/node-plan.ts";
import { nodeAddress4 } from "../lib/node/netns.ts";
import { ownDevice, peer, scopes } from "../lib/node/tortie-net.ts";
import { chosenKernels, Guest, whyNoGuests } from "../lib/runtimes/guest.ts";
import { requireBuild } from "../lib/suite.ts";

const why = whyNoGuests();
const at = "host";
const link = "tunl0";
const all: readonly Scope[] = [...scopes, { kind: "link", link }, { kind: "device", name: link }];

beforeEach((context) => {
  context.skip(why !== undefined, why);
});

describe.each(chosenKernels())("Linux %s", (kernel) => {
  let guest: Guest;

  beforeAll(() => {
    if (why !== undefined) return;
    requireBuild();
    guest = Guest.start(kernel);
  }, 900_000);

  afterAll(async () => {
    await guest?.stop();
  });

  function apply(resources: readonly NodeResource[]): ReportAnswer {
    const { stdout, stderr } = guest.run(["/test/tortie-net", "apply"], {
      stdin: encodeLine({ version: 1, plan: { resources, scopes: all } }),
    });
    if (stdout === "") throw new Error(stderr);
    return parseLine(stdout) as ReportAnswer;
  }

  const nothing = { applied: 0, removed: [], failures: [] };

  test("IPIP: the module makes the device, which is set up and gets its address", () => {
    const plan: readonly NodeResource[] = [
      { kind: "ipip", at, name: link, mtu: 1440 },
      { kind: "address", at, link, address: "10.65.1.1/32" },
      {
        ...{ kind: "route", at, link, destination: "10.65.2.0/26", gateway: "203.0.113.2" },
        ...{ onlink: true, protocol: 80 },
      },
    ];
    expect(apply(plan)).toMatchObject({ applied: 3, failures: [] });
    expect(apply(plan)).toMatchObject(nothing);
    expect(guest.sh(`ip -d link show ${link}`)).toMatch(
      /UP,LOWER_UP> mtu 1440 [\s\S]*ipip (any )?remote any local any/,
    );
    expect(guest.sh("ip route show 10.65.2.0/26")).toMatch(/via 203\.0\.113\.2 dev tunl0 proto 80 onlink/);
    expect(apply([]).removed).toEqual([
      "route 10.65.2.0/26 via 203.0.113.2 dev tunl0 proto 80 onlink",
      "address 10.65.1.1/32 dev tunl0",
      "ipip link tunl0",
    ]);
    expect(apply([])).toMatchObject(nothing);
  });

  const hasVxlan = () => guest.run(["modprobe", "-n", "vxlan"]).status === 0;
  const noVxlan = "the images are of a time when scripts/vm-images left module vxlan out";

  test("VXLAN: the kernel reads back what was planned", ({ skip }) => {
    skip(!hasVxlan(), noVxlan);
    const plan = [...ownDevice(1, "uplink", nodeAddress4), ...peer(2, "203.0.113.20")];
    expect(apply(plan)).toMatchObject({ applied: 6, failures: [] });
    expect(apply(plan)).toMatchObject(nothing);
    expect(apply([])).toMatchObject({ failures: [] });
    expect(guest.sh("ip -br link")).not.toContain("vxlan");
  });

  test("an offload that is not promised", ({ skip }) => {
    skip(!hasVxlan(), noVxlan);
    const own = ownDevice(1, "uplink", nodeAddress4).map((one): NodeResource => {
      return one.kind === "vxlan" ? { ...one, checksumOffload: false } : one;
    });
    expect(apply(own)).toMatchObject({ applied: 4, failures: [] });
    expect(apply(own)).toMatchObject(nothing);
    apply([]);
  });
});
