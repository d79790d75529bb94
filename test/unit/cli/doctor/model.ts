/** A node from the doctor's point of view, composed of pods; every part of a pod can be missing or wrong. */

import { afterAll, expect } from "vitest";
import {
  type ChangingFacts,
  type Diagnosis,
  diagnoseChanging,
  diagnoseStatic,
  type StaticFacts,
} from "../../../../src/cli/doctor/diagnosis.ts";
import { ownBuild } from "../../../../src/cli/doctor/executables.ts";
import type { Finding } from "../../../../src/cli/doctor/finding.ts";
import { type Network, ourNames } from "../../../../src/cli/doctor/networks.ts";
import { noAgent } from "../../../../src/cli/doctor/node-agent.ts";
import { noReachFacts } from "../../../../src/cli/doctor/reach/facts.ts";
import type { ReadinessFact } from "../../../../src/cli/doctor/readiness.ts";
import { noTunnels } from "../../../../src/cli/doctor/tunnels/facts.ts";
import type { IpLink } from "../../../../src/cli/node/iproute.ts";
import { endpointDirectory } from "../../../../src/endpoint/endpoint.ts";
import { type Attachment, attachmentKey, ownerOf } from "../../../../src/identity/attachment.ts";
import { autoAssign } from "../../../../src/ipam/assign/assign.ts";
import { checkIpam } from "../../../../src/ipam/check/check.ts";
import { handleIdOf } from "../../../../src/ipam/model/handle.ts";
import { listPools } from "../../../../src/ipam/model/pool.ts";
import type { ReportedDifference } from "../../../../src/plugin/differences.ts";
import { drive } from "../../../../src/store/transaction.ts";
import { memoryStore } from "../../ipam/memory-store.ts";
import { callsIn, faultOfWords } from "../command-lines.ts";

export const network = "net";

/** A complete pod. */
export interface Pod {
  readonly name: string;
  readonly attachment: Attachment;
  readonly address: string;
  hasNamespace: boolean;
  /** Whether the doctor can look up its sandbox, and enter it. */
  isSeen: boolean;
  /** Whether a process keeps the namespace, which then has a path in /proc. */
  holder: number | undefined;
  record: "whole" | "missing" | "damaged";
  recordAgeSeconds: number;
  link: "whole" | "missing" | "without alias" | { readonly owner: string };
  ports: readonly number[];
  ifb: "missing" | "whole" | "serving nobody";
  /** The result of CHECK. */
  differences: readonly ReportedDifference[];
  /** The operation that a plugin is running for it. */
  work: "ADD" | "DEL" | "CHECK" | undefined;
}

export interface NodeModel {
  readonly pods: Pod[];
  settled: StaticFacts;
  readiness: readonly ReadinessFact[];
  /** Last of all. */
  change: (moving: ChangingFacts) => ChangingFacts;
}

const takenAt = 1_704_067_200n * 1_000_000_000n;
const hourNs = 3_600_000_000_000n;

export function nodeWith(...names: readonly string[]): NodeModel {
  return { pods: names.map(pod), settled: settled(), readiness: [], change: (moving) => moving };
}

function pod(name: string, index: number): Pod {
  return {
    name,
    attachment: { network, containerId: `${name}-0a`, ifname: "eth0" },
    address: `10.0.0.${index}`,
    hasNamespace: true,
    isSeen: true,
    holder: undefined,
    record: "whole",
    recordAgeSeconds: 3600,
    link: "whole",
    ports: index % 2 === 0 ? [8000 + index] : [],
    ifb: index % 3 === 0 ? "whole" : "missing",
    differences: [],
    work: undefined,
  };
}

/** Collects the commands of all remedies of a test file: the program must accept each. */
const recommended = new Set<string>();

afterAll(async () => {
  for (const words of recommended) expect([words, await faultOfWords(JSON.parse(words))]).toEqual([words, undefined]);
});

/** Throws for a line that a shell cannot parse. */
function recommend({ remedy }: Finding): void {
  for (const words of remedy.split("\n").flatMap(callsIn)) recommended.add(JSON.stringify(words));
}

export function diagnose(node: NodeModel, graceSeconds = 60): Diagnosis {
  const certain = diagnoseStatic(node.settled, node.readiness);
  const moving = diagnoseChanging(node.settled, node.change(movingOf(node, graceSeconds)), graceSeconds);
  const findings = [...certain.findings, ...moving.findings];
  for (const finding of findings) recommend(finding);
  return {
    findings,
    overview: { ...certain.overview, ...moving.overview },
    notes: [...certain.notes, ...moving.notes],
  };
}

/** `id subject` of each. */
export function titles(node: NodeModel, graceSeconds?: number): readonly string[] {
  return diagnose(node, graceSeconds).findings.map(({ id, subject }: Finding) => `${id} ${subject}`);
}

export const calico: Network = {
  name: network,
  cniVersion: "1.1.0",
  plugins: [
    { type: "calico", ipam: { type: "calico-ipam" } },
    { type: "bandwidth", capabilities: { bandwidth: true } },
    { type: "portmap", capabilities: { portMappings: true } },
  ].map((plugin) => ({ type: plugin.type, document: { cniVersion: "1.1.0", name: network, ...plugin } })),
};

function settled(): StaticFacts {
  return {
    kernel: {
      release: "6.1.0-28-amd64",
      features: {
        veth: "",
        nf_tables: "",
        "NAT chains": "",
        masquerading: "",
        "fib lookups": "",
        "destination NAT": "",
        "conntrack matches": "",
        "IPv6 fib lookups": "",
        "IPv6 host ports": "",
        ifb: "",
        tbf: "",
        ingress: "",
        u32: "",
        mirred: "",
      },
      missingPrograms: [],
    },
    executables: {
      directories: ["/opt/cni/bin"],
      areSiblings: true,
      executables: ourNames.map((name) => ({
        name,
        path: `/opt/cni/bin/${name}`,
        mode: 0o755,
        inode: 7,
        build: ownBuild,
        versions: ["0.1.0", "0.4.0", "1.0.0", "1.1.0"],
        fault: undefined,
      })),
    },
    networks: { directory: "/etc/cni/net.d", files: [{ path: "/etc/cni/net.d/10-calico.conflist", network: calico }] },
    addressing: {
      node: { addresses: [], gateways: [], resolvers: [] },
      pools: [],
      hostAddresses: [],
      affinities: [],
      blocks: [],
      names: ["node"],
    },
  };
}

function movingOf({ pods }: NodeModel, graceSeconds: number): ChangingFacts {
  const store = memoryStore();
  store.objects.set("IPPool/p", {
    apiVersion: "projectcalico.org/v3",
    kind: "IPPool",
    metadata: { name: "p" },
    spec: { cidr: "10.0.0.0/26", blockSize: 26 },
  });
  for (const one of pods) assign(store, one);
  const links = pods.flatMap((one, index) => linksOf(one, index));
  const owned = links.flatMap(({ ifname: name, ifalias: owner }) =>
    owner?.startsWith("tortie:") && !name.startsWith("bwp") ? [{ name, owner }] : [],
  );
  const namespaces = pods.flatMap((one, index) => namespaceOf(one, index));
  const endpoints = pods
    .filter(({ record }) => record === "whole")
    .map(({ name, attachment, address, hasNamespace, holder, isSeen }) => ({
      attachment,
      pod: { namespace: "default", name },
      hostInterface: `cali${name}`,
      addresses: [address],
      netns: `/run/netns/${name}`,
      sandbox: !isSeen
        ? ("unseen" as const)
        : hasNamespace && holder === undefined
          ? ("there" as const)
          : ("gone" as const),
      path: isSeen ? `/run/netns/${name}` : undefined,
      inode: undefined,
    }));
  const facts = {
    endpoints,
    hasUnseen: pods.some(({ isSeen }) => !isSeen),
    sight: { here: undefined, pathOf: () => undefined, sandboxOf: () => "unseen" as const },
    links: owned,
    seen: namespaces.flatMap(({ path, interfaces }) =>
      interfaces.flatMap(({ addr_info }) =>
        addr_info.map(({ local }) => ({ address: local ?? "", where: `eth0 in "${path}"` })),
      ),
    ),
    hostLinks: links,
    namespaces,
    processes: pods.flatMap(({ attachment: { containerId, ifname }, work }, index) =>
      work === undefined
        ? []
        : [{ pid: 500 + index, name: "calico", netns: 1, mount: 1, plugin: { command: work, containerId, ifname } }],
    ),
  };
  const snapshot = {
    ...facts,
    node: "node-1",
    takenAt: takenAt + hourNs,
    pools: drive(listPools(), store).pools,
    blocks: store.all("IPAMBlock"),
    handles: store.all("IPAMHandle"),
    affinities: store.all("BlockAffinity"),
    damaged: [],
    graceNs: BigInt(graceSeconds) * 1_000_000_000n,
  };
  const mapped = pods.filter(({ ports }) => ports.length > 0);
  const report = checkIpam(snapshot);
  return {
    facts,
    records: pods.flatMap(recordOf),
    parts: [],
    cached: new Map(),
    snapshot,
    report,
    repairable: new Set(report.problems),
    firewall: {
      nftFault: undefined,
      nftTables: [
        ...(pods.some(({ record }) => record !== "missing")
          ? [{ family: "ip" as const, name: "tortie", owners: [], elements: [] }]
          : []),
        ...(mapped.length === 0
          ? []
          : [
              {
                family: "ip" as const,
                name: "tortie_portmap",
                owners: mapped.map(({ attachment }) => ownerOf(attachment)),
                elements: mapped.flatMap(({ ports, address: target, attachment }) =>
                  ports.map((port) => ({ set: "ports", key: `tcp . ${port}`, comment: ownerOf(attachment), target })),
                ),
              },
            ]),
      ],
      iptables: [],
    },
    listeners: [],
    limits: {
      ifbs: pods
        .filter(({ ifb }) => ifb !== "missing")
        .map(({ name, attachment, ifb }) => ({
          name: `bwp${name}`,
          owner: ownerOf(attachment),
          servedTo: ifb === "whole" ? [`cali${name}`] : [],
        })),
    },
    state: { runFileSystem: "tmpfs", files: [] },
    reach: noReachFacts,
    tunnels: noTunnels,
    agent: noAgent,
    checks: {
      byOwner: new Map(
        pods.flatMap(({ attachment, differences }) =>
          differences.length === 0 ? [] : [[ownerOf(attachment), [{ plugin: "calico", found: differences }]] as const],
        ),
      ),
      unknown: new Map(),
    },
  };
}

function assign(store: ReturnType<typeof memoryStore>, { name, attachment }: Pod): void {
  drive(
    autoAssign({
      handleId: handleIdOf(attachment),
      node: "node-1",
      attributes: {
        interface: "eth0",
        namespace: "default",
        node: "node-1",
        pod: name,
        timestamp: "2024-01-01 00:00:00 +0000 UTC",
      },
      now: takenAt,
      pools: drive(listPools(), store),
      wanted: [{ family: 4, pools: [], count: 1 }],
    }),
    store,
  );
}

/** The indices of the pair: 100 and up on the host, always 2 in the sandbox. */
function linksOf({ name, attachment, hasNamespace, link, ifb }: Pod, index: number): readonly IpLink[] {
  const alias = typeof link === "object" ? link.owner : link === "without alias" ? undefined : ownerOf(attachment);
  const bandwidth: IpLink = { ifname: `bwp${name}`, ifindex: 200 + index, flags: ["UP"], ifalias: ownerOf(attachment) };
  return [
    // The kernel deletes the pair with the namespace.
    ...(link !== "missing" && hasNamespace
      ? [
          {
            ifname: `cali${name}`,
            ifindex: 100 + index,
            link_index: 2,
            flags: ["UP"],
            ...(alias !== undefined && { ifalias: alias }),
          },
        ]
      : []),
    ...(ifb === "missing" ? [] : [bandwidth]),
  ];
}

function namespaceOf(
  { name, address, hasNamespace, holder, link, isSeen }: Pod,
  index: number,
): ChangingFacts["facts"]["namespaces"] {
  if (!hasNamespace || !isSeen) return [];
  const isPaired = link === "whole" || link === "without alias";
  return [
    {
      path: holder === undefined ? `/run/netns/${name}` : `/proc/${holder}/ns/net`,
      inode: 4000 + index,
      holder: holder === undefined ? undefined : { pid: holder, name: "sleep" },
      interfaces: isPaired
        ? [
            {
              ifname: "eth0",
              ifindex: 2,
              link_index: 100 + index,
              flags: ["UP"],
              address: "02:00:00:00:00:01",
              addr_info: [{ local: address, scope: "global", prefixlen: 32 }],
            },
          ]
        : [],
    },
  ];
}

function recordOf({ name, attachment, address, record, recordAgeSeconds }: Pod): ChangingFacts["records"] {
  if (record === "missing") return [];
  const endpoint = {
    attachment,
    node: "node-1",
    pod: { namespace: "default", name },
    hostInterface: `cali${name}`,
    mac: "02:00:00:00:00:01",
    addresses: [`${address}/32`],
    netns: `/run/netns/${name}`,
  };
  return [
    {
      path: `${endpointDirectory}/${attachmentKey(attachment)}.json`,
      ageSeconds: recordAgeSeconds,
      endpoint: record === "whole" ? endpoint : undefined,
      fault: record === "whole" ? undefined : "Unexpected end of JSON input",
    },
  ];
}
