/** The chain on kernels that lack a feature: STATUS and ADD name it, ADD leaves nothing, DEL and GC succeed. */
import { describe, expect, test } from "vitest";
import { FakeChain, type Member, type Outcome, type Pod } from "../../lib/fake/chain.ts";

const pod: Pod = { name: "c1", pod: "web-0", hostPort: 8080 };
const noNft = "cannot use nf_tables: the kernel does not support them; load module nf_tables";

/** Kernels without nf_tables, in the two ways in which that shows. */
const without: readonly (readonly [string, (made: FakeChain) => void])[] = [
  ["nf_tables", (made) => void made.node.nft.missingModules.add("nf_tables")],
  [
    "netfilter",
    ({ node }) => {
      node.machine.netfilter = undefined;
    },
  ],
];

describe.each(without)("the chain without %s", (_, take) => {
  test("ADD and STATUS say so, nothing stays, DEL and GC succeed", () => {
    const made = new FakeChain([pod]);
    const clean = made.state();
    take(made);
    expect(said(made.status())).toEqual(["calico", 50, noNft]);
    expect(said(made.add(pod))).toEqual(["calico", 100, noNft]);
    expect(made.state()).toBe(clean);
    for (const outcome of [made.del(pod), made.gc([])]) expect(outcome.failed).toBeUndefined();
    expect(made.state()).toBe(clean);
  });

  test("DEL and GC of what was made before succeed, as after a reboot into another kernel", () => {
    const made = new FakeChain([pod]);
    const clean = made.state();
    expect(made.add(pod).failed).toBeUndefined();
    take(made);
    expect(said(made.check(pod))).toEqual(["calico", 100, noNft]);
    expect(made.gc([]).failed).toBeUndefined();
    expect(made.del(pod).failed).toBeUndefined();
    // The nf_tables objects vanished with the other kernel.
    expect(made.state().replace(made.node.nft.print(), "").trim()).toBe(clean.trim());
  });
});

describe.each<[string, Member]>([
  ["nft_chain_nat", "calico"],
  ["nft_masq", "calico"],
  ["nft_fib_ipv4", "portmap"],
  ["nft_nat", "portmap"],
  ["nft_ct", "portmap"],
])("without %s", (module, member) => {
  test("STATUS and ADD name it, and nothing stays after DEL", () => {
    const made = new FakeChain([pod]);
    const clean = made.state();
    made.node.nft.missingModules.add(module);
    const named = expect.stringMatching(new RegExp(`; load module (nft_\\w+ )?${module}( |$)`));
    expect(said(made.status())).toEqual([member, 50, named]);
    expect(made.state()).toBe(clean);
    expect(said(made.add(pod))).toEqual([member, 100, named]);
    expect(made.del(pod).failed).toBeUndefined();
    expect(made.state()).toBe(clean);
  });
});

describe.each<[string, Member, string]>([
  ["veth", "calico", 'cannot create links of kind "veth": Operation not supported (EOPNOTSUPP): Unknown device type'],
  ["ifb", "bandwidth", 'cannot create links of kind "ifb": Operation not supported (EOPNOTSUPP): Unknown device type'],
  [
    "sch_tbf",
    "bandwidth",
    'cannot create qdiscs of kind "tbf": No such file or directory (ENOENT): Specified qdisc kind is unknown',
  ],
  [
    "sch_ingress",
    "bandwidth",
    'cannot create qdiscs of kind "ingress": No such file or directory (ENOENT): Specified qdisc kind is unknown',
  ],
  [
    "cls_u32",
    "bandwidth",
    'cannot create filters of kind "u32" with action "mirred": No such file or directory (ENOENT): TC classifier not found',
  ],
  [
    "act_mirred",
    "bandwidth",
    'cannot create filters of kind "u32" with action "mirred": No such file or directory (ENOENT): Failed to load TC action module',
  ],
])("without %s", (module, member, words) => {
  test("STATUS names it, ADD fails in the same plugin, and nothing stays after DEL", () => {
    const made = new FakeChain([pod]);
    const clean = made.state();
    made.node.machine.kernel.missingModules.add(module);
    expect(said(made.status())).toEqual([member, 50, `${words}; load module ${module}`]);
    expect(made.add(pod).failed).toBe(member);
    expect(made.del(pod).failed).toBeUndefined();
    expect(made.state()).toBe(clean);
  });
});

test("STATUS does not try again what is loaded", () => {
  const made = new FakeChain([pod]);
  const calls = (member: Member) => (made.status().steps.get(member) ?? []).map(({ call }) => call);
  expect(calls("bandwidth")).toContain("inNewNetns");
  const tried = made.node.nft.datagrams;
  made.status();
  const perStatus = made.node.nft.datagrams - tried;
  for (const module of ["sch_ingress", "cls_u32", "act_mirred", "nft_chain_nat", "nft_masq"]) {
    made.node.machine.files.makeDirs(`/sys/module/${module}`, 0o755);
  }
  expect(calls("bandwidth")).not.toContain("inNewNetns");
  const before = made.node.nft.datagrams;
  made.status();
  expect(made.node.nft.datagrams - before).toBeLessThan(perStatus);
  made.node.nft.isForbidden = true;
  expect(said(made.status())).toEqual(["calico", 50, expect.stringContaining("EPERM")]);
});

test("STATUS succeeds if only IPv6 lacks a feature", () => {
  const made = new FakeChain([pod]);
  made.node.nft.missingModules.add("nft_fib_ipv6");
  made.node.nft.longestDatum = 16;
  expect(made.status().failed).toBeUndefined();
});

test("STATUS of each plugin reports a missing privilege", () => {
  const made = new FakeChain([pod]);
  expect(made.add(pod).failed).toBeUndefined();
  made.node.nft.isForbidden = true;
  for (const outcome of [made.status(), made.del(pod), made.gc([])]) {
    expect(said(outcome)[2]).toContain("Operation not permitted (EPERM)");
  }
});

function said({ failed, json }: Outcome): readonly [Member | undefined, number | undefined, string | undefined] {
  return [failed, json?.code, json?.msg];
}
