/**
 * `npm run bench -- --ipam`: whether ADD and DEL of `calico-ipam` cost the same for any number of addresses and pools, with Debian's
 * host-local for comparison.
 *
 * Each case is a private node with its own store, written as that many ADDs would have left it. Each round visits all nodes in turn.
 * Figures are medians over the rounds; ratios are medians of the ratios within a round.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { redirectedSys } from "../../src/cli/node/redirected-sys.ts";
import { nodeSys } from "../../src/host/node/node.ts";
import { newAffinity } from "../../src/ipam/model/affinity.ts";
import { assign, newBlock, withSpec } from "../../src/ipam/model/block.ts";
import { newHandle } from "../../src/ipam/model/handle.ts";
import { blockAt, decodePool } from "../../src/ipam/model/pool.ts";
import { addressAt } from "../../src/net/prefix.ts";
import { fileStore } from "../../src/store/file/store.ts";
import type { StoredObject } from "../../src/store/object.ts";
import { create, drive, type Store } from "../../src/store/transaction.ts";
import { Node } from "../../test/lib/node/netns.ts";

export interface IpamBenchOptions {
  readonly driver: string;
  readonly workDir: string;
  readonly rounds: number;
  /** Directory of our executables. */
  readonly plugins: string;
  readonly go: string;
}

export interface IpamLine {
  readonly name: string;
  readonly addMs: number;
  readonly delMs: number;
  /** Ratio to the first case. */
  readonly add: number;
  readonly del: number;
  /** Ratio of `calico-ipam` with 50,000 addresses to this case; only for Go's plugin. */
  readonly oursToIt?: { readonly add: number; readonly del: number };
}

interface Case {
  readonly name: string;
  readonly plugin: "calico-ipam" | "host-local";
  readonly pools: number;
  readonly addresses: number;
  /** Consecutive rounds on this node before the next node's turn. */
  readonly chunk: number;
}

const cases: readonly Case[] = [
  { name: "calico-ipam, 10 addresses", plugin: "calico-ipam", pools: 1, addresses: 10, chunk: 10 },
  { name: "calico-ipam, 50,000 addresses", plugin: "calico-ipam", pools: 1, addresses: 50_000, chunk: 10 },
  { name: "calico-ipam, 62 addresses: a block nearly full", plugin: "calico-ipam", pools: 1, addresses: 62, chunk: 10 },
  {
    name: "calico-ipam, 64,000 addresses: each block full",
    plugin: "calico-ipam",
    pools: 1,
    addresses: 64_000,
    chunk: 5,
  },
  { name: "calico-ipam, 50,000 in 1,000 pools", plugin: "calico-ipam", pools: 1_000, addresses: 50_000, chunk: 10 },
  { name: "host-local (Go), 10 addresses", plugin: "host-local", pools: 1, addresses: 10, chunk: 1 },
  { name: "host-local (Go), 16,000 addresses", plugin: "host-local", pools: 1, addresses: 16_000, chunk: 1 },
];

const warmUps = 1;
const nodeName = "bench";

export async function benchIpam(options: IpamBenchOptions): Promise<readonly IpamLine[]> {
  const nodes: Node[] = [];
  try {
    for (const one of cases) nodes.push(await prepare(one));
    const samples: Sample[][] = cases.map(() => []);
    for (let round = 0; round < options.rounds + warmUps; round++) {
      for (const [i, one] of cases.entries()) {
        const sample = measure(options, one, nodes[i] as Node);
        if (round >= warmUps) samples[i]?.push(sample);
      }
    }
    return cases.map((one, i) => lineOf(one, samples[i] ?? [], samples[0] ?? [], samples[1] ?? []));
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
  }
}

/** The medians of a turn, in milliseconds. */
interface Sample {
  readonly add: number;
  readonly del: number;
}

async function prepare({ plugin, pools, addresses }: Case): Promise<Node> {
  const node = await Node.start(nodeName);
  node.addPod("bench0");
  if (plugin === "host-local") fillHostLocal(node, addresses);
  else fillStore(node, pools, addresses);
  return node;
}

/** Writes one file per address, in the format of host-local's disk backend. */
function fillHostLocal(node: Node, addresses: number): void {
  const directory = "/var/lib/cni/networks/bench";
  node.sh(`mkdir -p ${directory}`);
  const write = (name: string, text: string) => writeFileSync(join(node.outerPath(directory), name), text);
  for (let i = 0; i < addresses; i++) write(addressAt("10.0.0.0/16", i + 2), `old${i}\r\neth0`);
  write("last_reserved_ip.0", addressAt("10.0.0.0/16", addresses + 1));
}

/** Writes a store as that many ADDs on this node would have left it. */
export function fillStore(node: Node, pools: number, addresses: number): void {
  const directories = { run: node.outerPath("/run/tortie"), state: node.outerPath("/var/lib/tortie") };
  const store = fileStore(redirectedSys(nodeSys, directories, () => undefined));
  const perPool = addresses / pools;
  for (let i = 0; i < pools; i++) {
    const cidr = pools === 1 ? "10.0.0.0/16" : `10.${i >> 8}.${i & 255}.0/26`;
    const spec = { cidr, blockSize: 26, nodeSelector: "all()" };
    const pool: StoredObject = {
      apiVersion: "projectcalico.org/v3",
      kind: "IPPool",
      metadata: { name: `pool-${i}` },
      spec,
    };
    put(store, pool);
    // Claim from the node's own first block on, so that the next ADD finds the last of these blocks.
    for (let n = 0; n * 64 < perPool; n++) {
      fillBlock(store, cidr, blockAt(decodePool(pool), nodeName, BigInt(n)), Math.min(64, perPool - n * 64));
    }
  }
}

function fillBlock(store: Store, pool: string, cidr: string, count: number): void {
  put(store, newAffinity(nodeName, cidr, "confirmed", pool));
  let block = newBlock(cidr, `host:${nodeName}`, 1_690_113_884_806_720_496n);
  for (let i = 0; i < count; i++) {
    const container = `${cidr.replace(/\D/g, "-")}-${i}`.padEnd(64, "0");
    const secondary = {
      interface: "eth0",
      namespace: "default",
      node: nodeName,
      pod: `web-${i}`,
      timestamp: "2024-01-01 00:00:00.123456789 +0000 UTC",
    };
    const { spec } = assign(block.spec, 1, { handle_id: `bench.${container}`, secondary }, () => false);
    block = withSpec(block, spec);
    put(store, newHandle(`bench.${container}`, { [cidr]: 1 }));
  }
  put(store, block);
}

function put(store: Store, object: StoredObject): void {
  drive(create(object), store);
}

function measure({ driver, workDir, plugins, go }: IpamBenchOptions, { plugin, chunk }: Case, node: Node): Sample {
  const request = join(workDir, `${plugin}.json`);
  const plan = join(workDir, `${plugin}.plan`);
  const ipam = plugin === "host-local" ? { type: plugin, ranges: [[{ subnet: "10.0.0.0/16" }]] } : { type: plugin };
  mkdirSync(workDir, { recursive: true });
  writeFileSync(
    request,
    JSON.stringify({ cniVersion: "1.0.0", name: "bench", type: "calico", ipam, prevResult: "@prevResult@" }),
  );
  const directory = plugin === "host-local" ? go : plugins;
  writeFileSync(
    plan,
    `node ${node.pid}\nchain ipam add,del CNI_PATH=${directory}\nplugin ${join(directory, plugin)} ${request}\n`,
  );
  // One extra round: the first exec after a switch of nodes runs with cold caches.
  const { stdout } = execaSync(driver, [plan, String(chunk + 1), "1"]);
  const lines = stdout.split("\n").map((line) => line.split(" "));
  const of = (operation: string) =>
    median(lines.filter((line) => line[1] === operation && line[2] !== "0").map((line) => Number(line[3]) / 1000));
  return { add: of("add"), del: of("del") };
}

function lineOf(
  { name, plugin }: Case,
  mine: readonly Sample[],
  few: readonly Sample[],
  many: readonly Sample[],
): IpamLine {
  const ratio = (to: readonly Sample[], of: readonly Sample[], key: keyof Sample) =>
    median(of.map((sample, i) => sample[key] / (to[i]?.[key] ?? Number.NaN)));
  return {
    name,
    addMs: median(mine.map(({ add }) => add)),
    delMs: median(mine.map(({ del }) => del)),
    add: ratio(few, mine, "add"),
    del: ratio(few, mine, "del"),
    ...(plugin === "host-local" && { oursToIt: { add: ratio(mine, many, "add"), del: ratio(mine, many, "del") } }),
  };
}

/** Whether each case of ours costs at most 1.3 times as much as the case with 10 addresses. */
export function isFlat({ name, add, del }: IpamLine): boolean {
  return !name.startsWith("calico-ipam") || Math.max(add, del) <= 1.3;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

export function ipamTable(lines: readonly IpamLine[]): string {
  const width = Math.max(...lines.map(({ name }) => name.length));
  const rows = lines.map(({ name, addMs, delMs, add, del, oursToIt }) => {
    const beside = oursToIt === undefined ? "" : `${oursToIt.add.toFixed(3)} / ${oursToIt.del.toFixed(3)}`;
    const cells = [addMs.toFixed(2), delMs.toFixed(2), add.toFixed(2), del.toFixed(2)].map((cell) => cell.padStart(8));
    return `${name.padEnd(width)}${cells.join("")}  ${beside}`.trimEnd();
  });
  const head = `${"".padEnd(width)}${["ADD ms", "DEL ms", "ADD x", "DEL x"].map((title) => title.padStart(8)).join("")}  ours to it`;
  return [
    head,
    ...rows,
    "",
    "x: to the first line. ours to it: calico-ipam with 50,000 addresses to this line, ADD / DEL",
  ].join("\n");
}
