import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ChangingFacts } from "../../../../src/cli/doctor/diagnosis.ts";
import type { Finding } from "../../../../src/cli/doctor/finding.ts";
import { noReachFacts } from "../../../../src/cli/doctor/reach/facts.ts";
import { describeDiagnosis } from "../../../../src/cli/doctor/report.ts";
import type { IpLink } from "../../../../src/cli/node/iproute.ts";
import type { ReportedDifference } from "../../../../src/plugin/differences.ts";

import { diagnose, type NodeModel, nodeWith, type Pod, titles } from "./model.ts";

const isDown = (link: string): ReportedDifference => ({ kind: "up", at: "host", text: `link ${link} is down` });

const names = ["a", "b", "c", "d", "e"];

function only(node: NodeModel, graceSeconds?: number): Finding {
  const { findings } = diagnose(node, graceSeconds);
  expect(findings).toHaveLength(1);
  return findings[0] as Finding;
}

/** Changes the first pod. */
function broken(change: Partial<Pod>): NodeModel {
  const node = nodeWith("a", "b");
  Object.assign(node.pods[0] as Pod, change);
  return node;
}

const gone: Partial<Pod> = { hasNamespace: false, ifb: "serving nobody" };

test("tortie doctor: no finding on a node whose pods are complete", () => {
  fc.assert(
    fc.property(fc.subarray(names), (some) => {
      expect(diagnose(nodeWith(...some)).findings).toEqual([]);
    }),
  );
});

describe("tortie doctor: an attachment", () => {
  test.each<[string, Partial<Pod>, string, string]>([
    [
      "whose sandbox is gone is left by a DEL that never came",
      gone,
      "attachment-left",
      '(default/a eth0) has left its record, address 10.0.0.0, host port 8000/tcp and ifb bwpa, and its sandbox "/run/netns/a" is gone: its DEL never ran, or was killed',
    ],
    [
      "whose record alone is gone is found by its interface",
      { record: "missing" },
      "record-missing",
      '(default/a eth0) has host interface calia, whose other end is eth0 in "/run/netns/a", and no record: DEL has to search for it, and GC and CHECK do not know it',
    ],
    [
      "whose record cannot be read is found by its interface",
      { record: "damaged" },
      "record-damaged",
      "(default/a eth0) has a record that cannot be read: Unexpected end of JSON input",
    ],
    [
      "without a host interface has no network",
      { link: "missing" },
      "attachment-broken",
      "(default/a eth0) has no host interface calia: its pod has no network",
    ],
    [
      "whose interface has no alias was made by an ADD that was killed",
      { link: "without alias" },
      "attachment-broken",
      "(default/a eth0) has a host interface calia without an owner: its ADD was killed",
    ],
    [
      "whose interface another has taken over is dead",
      { link: { owner: "tortie:net/new/eth0" }, ifb: "missing" },
      "attachment-broken",
      "(default/a eth0) has lost its host interface calia to net/new/eth0: no rule or interface serves it any more",
    ],
    [
      "that CHECK finds different is told in CHECK's words",
      {
        differences: [
          isDown("calia"),
          { kind: "route", at: "host", text: "route 10.0.0.0/32 dev calia scope link is missing" },
        ],
      },
      "attachment-different",
      "(default/a eth0) differs from what ADD created: link calia is down; route 10.0.0.0/32 dev calia scope link is missing",
    ],
  ])("%s", (_, change, id, text) => {
    const found = diagnose(broken(change)).findings.filter(({ subject }) => subject === "net/a-0a/eth0");
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ id, subject: "net/a-0a/eth0", text, severity: "error" });
    expect(found[0]?.fix).toBeDefined();
  });

  test("that is dead gets the DEL that never came, by the network's own plugins in reverse", () => {
    const { fix, remedy } = only(broken(gone));
    const calls = fix?.kind === "plugins" ? fix.calls : [];
    expect(calls.map(({ command, path, pluginPath }) => [command, path, pluginPath])).toEqual([
      ["DEL", "/opt/cni/bin/portmap", "/opt/cni/bin"],
      ["DEL", "/opt/cni/bin/bandwidth", "/opt/cni/bin"],
      ["DEL", "/opt/cni/bin/calico", "/opt/cni/bin"],
    ]);
    expect(remedy.split("\n").at(-1)).toBe(
      `echo '{"cniVersion":"1.1.0","name":"net","type":"calico","ipam":{"type":"calico-ipam"}}' | CNI_COMMAND=DEL CNI_CONTAINERID=a-0a CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin /opt/cni/bin/calico`,
    );
  });

  test("that is dead and whose network is no longer configured gets a DEL all the same", () => {
    const node = broken(gone);
    node.settled = { ...node.settled, networks: { ...node.settled.networks, files: [] } };
    const left = diagnose(node).findings.find(({ id }) => id === "attachment-left");
    expect(left?.fix).toMatchObject({
      kind: "plugins",
      calls: [{ path: "/opt/cni/bin/portmap" }, { path: "/opt/cni/bin/bandwidth" }, { path: "/opt/cni/bin/calico" }],
    });
    expect(left?.remedy).toContain(
      `echo '{"cniVersion":"1.0.0","name":"net","type":"calico","ipam":{"type":"calico-ipam"}}'`,
    );
  });

  test("that lives gets ADD once more, for its sandbox and the very addresses and MAC address that it has", () => {
    const { fix } = only(broken({ link: "missing", ifb: "missing" }));
    expect(fix).toMatchObject({
      kind: "chain",
      calls: [
        {
          command: "ADD",
          netns: "/run/netns/a",
          args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=a;IP=10.0.0.0",
          document: { type: "calico", runtimeConfig: { mac: "02:00:00:00:00:01" } },
        },
      ],
    });
  });

  test("that another sandbox of its pod has replaced never gets ADD: it would take the interface back", () => {
    const { findings } = diagnose(broken({ link: { owner: "tortie:net/new/eth0" }, ifb: "missing" }));
    const fix = findings.find(({ subject }) => subject === "net/a-0a/eth0")?.fix;
    expect(fix?.kind === "plugins" ? fix.calls.map(({ command }) => command) : []).not.toContain("ADD");
  });

  test("has its record rewritten from its interface", () => {
    expect(only(broken({ record: "missing" })).fix).toEqual({
      kind: "record",
      endpoint: {
        attachment: { network: "net", containerId: "a-0a", ifname: "eth0" },
        node: "node-1",
        pod: { namespace: "default", name: "a" },
        hostInterface: "calia",
        mac: "02:00:00:00:00:01",
        addresses: ["10.0.0.0/32"],
        netns: "/run/netns/a",
      },
    });
  });

  test("whose namespace a process keeps is alive: it is reported, and nothing is removed", () => {
    const { severity, id, text, fix } = only(broken({ holder: 812 }));
    expect({ severity, id, fix }).toEqual({ severity: "warning", id: "sandbox-without-path", fix: undefined });
    expect(text).toContain("process 812 (sleep) is still in it");
  });

  test.each<[string, Partial<Pod>]>([
    ["missing interface", { link: "missing", ifb: "missing" }],
    ["missing sandbox", gone],
    ["missing record", { record: "missing" }],
  ])("with a %s is not checked while an ADD or a DEL is at work on it", (_, change) => {
    expect(titles(broken({ ...change, work: "ADD" }))).toEqual([]);
    expect(titles(broken({ ...change, work: "DEL" }))).toEqual([]);
    expect(titles(broken({ ...change, work: "CHECK" }))).toHaveLength(1);
  });

  test("with a young record is not checked within the grace, and counted", () => {
    const node = broken({ link: "missing", ifb: "missing", recordAgeSeconds: 10 });
    const { findings, notes } = diagnose(node);
    expect(findings).toEqual([]);
    expect(notes).toEqual([
      {
        section: "attachments",
        subject: "net/a-0a/eth0",
        text: "not checked, younger than 60 s; --grace 0 checks them too",
      },
    ]);
    expect(titles(node, 5)).toEqual(["attachment-broken net/a-0a/eth0"]);
  });

  test("of another main plugin lives by its address, which is seen; ours are its host ports alone", () => {
    const seenOrNot = (seen: boolean) => {
      const node = nodeWith();
      node.change = (moving) => ({
        ...moving,
        facts: { ...moving.facts, seen: seen ? [{ address: "10.9.0.5", where: "eth0" }] : [] },
        firewall: {
          ...moving.firewall,
          nftTables: [
            {
              family: "ip",
              name: "tortie_portmap",
              owners: ["tortie:bridged/c1/eth0"],
              elements: [{ set: "ports", key: "tcp . 80", comment: "tortie:bridged/c1/eth0", target: "10.9.0.5" }],
            },
          ],
        },
      });
      return titles(node);
    };
    expect(seenOrNot(true)).toEqual([]);
    expect(seenOrNot(false)).toEqual(["attachment-left bridged/c1/eth0"]);
  });

  test("whose host port leads to an address that another attachment has now is dead", () => {
    const node = nodeWith("a");
    node.change = (moving) => withTable(moving, "tortie:net/old/eth0", "10.0.0.0");
    expect(only(node).text).toMatch(/has left host port 99\/tcp, and its sandbox is not known/);
  });
});

function withTable(moving: ChangingFacts, owner: string, target: string, owners = [owner]): ChangingFacts {
  const tables = moving.firewall.nftTables.map((table) =>
    table.name === "tortie_portmap"
      ? {
          ...table,
          owners: [...table.owners, ...owners],
          elements: [...table.elements, { set: "ports", key: "tcp . 99", comment: owner, target }],
        }
      : table,
  );
  return { ...moving, firewall: { ...moving.firewall, nftTables: tables } };
}

describe("tortie doctor: leftovers", () => {
  test("a table that no attachment uses, and one without host ports", () => {
    const node = nodeWith();
    node.change = (moving) => ({
      ...moving,
      firewall: {
        ...moving.firewall,
        nftTables: ["tortie", "tortie_portmap"].map((name) => ({ family: "ip6", name, owners: [], elements: [] })),
      },
    });
    expect(titles(node)).toEqual(["table-left table ip6 tortie", "table-left table ip6 tortie_portmap"]);
  });

  test("the table of NAT is not idle while pods run that Calico's own plugin made", () => {
    const node = nodeWith();
    node.change = (moving) => ({
      ...moving,
      facts: {
        ...moving.facts,
        hostLinks: [{ ifindex: 7, ifname: "cali0123456789a", address: "ee:ee:ee:ee:ee:ee" } as IpLink],
      },
      firewall: {
        ...moving.firewall,
        nftTables: [{ family: "ip", name: "tortie", owners: [], elements: [] }],
      },
    });
    expect(titles(node)).toEqual([]);
  });

  test("a table is not reported while the DEL of a dead attachment is due, which removes it", () => {
    const node = nodeWith("a");
    Object.assign(node.pods[0] as Pod, { ...gone, record: "missing" });
    node.change = (moving) => ({
      ...moving,
      firewall: {
        ...moving.firewall,
        nftTables: [...moving.firewall.nftTables, { family: "ip", name: "tortie", owners: [], elements: [] }],
      },
    });
    expect(titles(node)).toEqual(["attachment-left net/a-0a/eth0"]);
  });

  test("an element that no index lists, even of an attachment that lives", () => {
    const node = nodeWith("a");
    node.change = (moving) => withTable(moving, "tortie:net/b-0a/eth0", "10.0.0.77", []);
    expect(diagnose(node).findings.map(({ id, remedy }) => [id, remedy])).toContainEqual([
      "element-unlisted",
      "nft delete element ip tortie_portmap ports '{' tcp . 99 '}'",
    ]);
  });

  test("an unowned ifb without a filter, but not while any ADD is running", () => {
    const node = nodeWith("a");
    node.change = (moving) => ({
      ...moving,
      limits: { ifbs: [...moving.limits.ifbs, { name: "bwp9", owner: undefined, servedTo: [] }] },
    });
    expect(only(node).remedy).toBe("ip link delete dev bwp9");
    (node.pods[0] as Pod).work = "ADD";
    expect(titles(node)).toEqual([]);
  });

  test("an ifb of a pod that lives and that nothing is sent through", () => {
    expect(titles(broken({ ifb: "serving nobody" }))).toEqual(["limits-broken net/a-0a/eth0"]);
  });

  test("the guard in iptables without host ports", () => {
    const node = nodeWith("a");
    const rule =
      '-A PREROUTING -d 127.0.0.0/8 ! -i lo -m comment --comment "127.0.0.0/8 is for the host alone" -j DROP';
    node.change = (moving) => ({
      ...moving,
      firewall: { ...moving.firewall, iptables: [{ family: "ip", entries: [], guards: [rule] }] },
    });
    expect(only(node).remedy).toBe(
      "iptables -t raw -D PREROUTING -d 127.0.0.0/8 '!' -i lo -m comment --comment '127.0.0.0/8 is for the host alone' -j DROP",
    );
  });
});

describe("tortie doctor: sandboxes that are not visible", () => {
  test.each<[string, Partial<Pod>]>([
    ["whose interface is there lives", {}],
    ["of whose interface nothing is known is not checked", { hasNamespace: false, ifb: "serving nobody" }],
    [
      "without a record, of which an address and host ports are there, is not checked",
      { hasNamespace: false, record: "missing" },
    ],
    ["whose record is damaged, and whose interface is there, is not checked", { record: "damaged" }],
    ["whose record is missing, and whose interface is there, is not checked", { record: "missing" }],
    ["whose interface has no owner yet is not checked", { link: "without alias" }],
  ])("an attachment %s, and that is said", (_, change) => {
    const node = broken({ ...change, isSeen: false });
    const { findings, notes } = diagnose(node, 0);
    expect(findings).toEqual([]);
    expect(notes.map(({ section, subject, text }) => `${section}: ${subject} ${text}`)).toEqual([
      expect.stringMatching(
        /^attachments: net\/a-0a\/eth0 (alive but not checked|not checked), .* from here; run this command on the node itself/,
      ),
    ]);
  });

  test("a note is told beside what is wrong", () => {
    const node = broken({ ...gone, ifb: "missing", isSeen: false });
    (node.pods[1] as Pod).differences = [isDown("calib")];
    const text = describeDiagnosis(diagnose(node), { offer: false, verbose: false, colours: false });
    expect(text).toMatch(
      /\n {2}FAIL {5}net\/b-0a.*\n {11}remedy: .*\n {2}NOTE {5}net\/a-0a\/eth0: not checked, in a sandbox that is not visible/,
    );
  });
});

test("tortie doctor: a difference in a shared object is reported once", () => {
  const node = nodeWith("a", "b");
  const shared = {
    kind: "nft-elements",
    object: "ip tortie",
    text: "element { 10.0.0.0/26 } of ip tortie nat_pools is missing",
  };
  for (const pod of node.pods) {
    const path = `net/ipv4/conf/cali${pod.name}/forwarding`;
    pod.differences = [shared, { kind: "sysctl", at: "host", object: path, text: `sysctl ${path} is "0"` }];
  }
  const pods = node.pods.map(({ name, address }) => ({
    name,
    hostInterface: `cali${name}`,
    ifname: "eth0",
    mac: undefined,
    address,
    family: 4 as const,
    netns: undefined,
    hasNat: true,
  }));
  const sysctls = new Map([["net/ipv4/ip_forward", "0"]]);
  node.change = (moving) => ({ ...moving, reach: { ...noReachFacts, pods, sysctls } });
  expect(titles(node)).toEqual(["nat-different table ip tortie", "forwarding-off net/ipv4/ip_forward"]);
});

test("tortie doctor: finds each leftover, nothing else, and removes nothing of other pods", () => {
  const wrecks: readonly (readonly [string, Partial<Pod>])[] = [
    ["attachment-left", gone],
    ["attachment-left", { ...gone, record: "missing" }],
    ["record-missing", { record: "missing" }],
    ["record-damaged", { record: "damaged" }],
    ["attachment-broken", { link: "missing", ifb: "missing" }],
    ["attachment-broken", { link: "without alias" }],
    ["attachment-different", { differences: [isDown("calix")] }],
  ];
  fc.assert(
    fc.property(
      fc.subarray(names, { minLength: 1 }),
      fc.nat(),
      fc.constantFrom(...wrecks),
      (some, at, [id, change]) => {
        const node = nodeWith(...some);
        const pod = node.pods[at % node.pods.length] as Pod;
        Object.assign(pod, { ...change, ...(pod.ifb === "missing" && change.ifb && { ifb: "missing" }) });
        const found = only(node);
        expect(found.id).toBe(id);
        const touched = JSON.stringify(found.fix);
        for (const other of node.pods.filter((one) => one !== pod)) {
          expect(touched).not.toContain(other.attachment.containerId);
          expect(touched).not.toContain(`cali${other.name}"`);
        }
      },
    ),
  );
});
