/** `tortie ipam show`: calicoctl's tables, and a map. */
import { type AllocationAttribute, attributeAt, type Block } from "../../ipam/model/block.ts";
import { blockOrdinal } from "../../ipam/model/ordinal.ts";
import { sequenceNumberOf } from "../../ipam/model/sequence-numbers.ts";
import { listReservedCidrs, readIpamConfig } from "../../ipam/model/settings.ts";
import { canonicalAddress } from "../../net/address.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { type Format, formatDocument } from "../resources/document-text.ts";
import { readBlocks, readPools, readStore } from "../store.ts";
import { type Column, renderBoxed, type Table } from "../ui/table.ts";
import { propertyOf } from "./configure.ts";
import { poolMaps } from "./map.ts";
import { finder } from "./range.ts";
import {
  type BlockUse,
  type BorrowedAddresses,
  borrowedAddresses,
  type PoolUse,
  type Use,
  utilisation,
} from "./utilisation.ts";

export interface ShowOptions {
  readonly ip?: string | undefined;
  readonly showBlocks?: boolean | undefined;
  readonly showBorrowed?: boolean | undefined;
  readonly showConfiguration?: boolean | undefined;
  readonly map?: boolean | undefined;
  readonly format: "wide" | Format;
}

export async function showIpam(cli: Cli, options: ShowOptions): Promise<ExitStatus> {
  if (options.ip !== undefined) return await showAddress(cli, options.ip, options.format);
  if (options.showConfiguration === true) return await showConfiguration(cli, options.format);
  const blocks = await readBlocks(cli);
  const reservedCidrs = await readStore(cli, listReservedCidrs());
  const use = utilisation(await readPools(cli), blocks, reservedCidrs);
  const addresses = options.showBorrowed === true ? blocks.flatMap(borrowedAddresses) : [];
  if (options.format !== "wide") {
    const borrowed = options.showBorrowed === true ? { borrowed: addresses } : {};
    cli.out(formatDocument({ ...withFree(use.pools, use.orphans), ...borrowed }, options.format));
    return exitStatus.done;
  }
  if (options.map === true) {
    cli.out(poolMaps(use, cli.node, cli.terminal));
    return exitStatus.done;
  }
  cli.out(renderBoxed(useTable(use.pools, use.orphans, options.showBlocks === true)));
  if (options.showBorrowed === true) cli.out(renderBoxed(borrowedTable(addresses)));
  return exitStatus.done;
}

async function showAddress(cli: Cli, text: string, format: ShowOptions["format"]): Promise<ExitStatus> {
  const address = canonicalAddress(text);
  if (address === undefined)
    throw new CliError(`cannot show address "${text}": it is not a valid IP address`, exitStatus.usage);
  const found = allocationOf(await readBlocks(cli), address);
  if (format !== "wide") cli.out(formatDocument({ ip: address, assigned: found !== undefined, ...found }, format));
  else cli.out(found === undefined ? `${address} is not assigned\n` : describeAllocation(address, found));
  return exitStatus.done;
}

interface Allocation {
  readonly block: string;
  readonly handle: string | undefined;
  readonly sequenceNumber: string | undefined;
  readonly attributes: Readonly<Record<string, string>>;
}

function allocationOf(blocks: readonly Block[], address: string): Allocation | undefined {
  const specs = blocks.map(({ spec }) => spec);
  const spec = finder(specs)(address);
  const ordinal = spec === undefined ? undefined : blockOrdinal(spec.cidr, address);
  if (spec === undefined || ordinal === undefined) return undefined;
  const attribute: AllocationAttribute | undefined = attributeAt(spec, ordinal);
  if (attribute === undefined) return undefined;
  return {
    block: spec.cidr,
    handle: attribute.handle_id ?? undefined,
    sequenceNumber: sequenceNumberOf(spec, ordinal).toString(),
    attributes: attribute.secondary ?? {},
  };
}

function describeAllocation(address: string, { handle, attributes }: Allocation): string {
  const lines = Object.entries(attributes).map(([key, value]) => `  ${key}: ${value}\n`);
  return `IP ${address} is in use\nHandle ID: ${handle ?? "none"}\nActive Owner Attributes:\n${lines.sort().join("")}`;
}

async function showConfiguration(cli: Cli, format: ShowOptions["format"]): Promise<ExitStatus> {
  const config = await readStore(cli, readIpamConfig());
  if (format !== "wide") {
    cli.out(formatDocument(config, format));
    return exitStatus.done;
  }
  const { strictAffinity, autoAllocateBlocks, maxBlocksPerHost, ...others } = config;
  const shown = {
    strictAffinity,
    autoAllocateBlocks,
    maxBlocksPerHost,
    kubeVirtVMAddressPersistence: "Disabled",
    ...others,
  };
  const rows = Object.entries(shown).map(([key, value]) => [propertyOf(key), `${value}`]);
  cli.out(renderBoxed({ columns: [{ title: "PROPERTY" }, { title: "VALUE" }], rows }));
  return exitStatus.done;
}

function useTable(pools: readonly PoolUse[], orphans: readonly BlockUse[], withBlocks: boolean): Table {
  const rows = pools.flatMap((pool) => [
    useRow("IP Pool", pool),
    ...(withBlocks ? pool.blocks.map((block) => useRow("Block", block)) : []),
  ]);
  const counts = ["IPS TOTAL", "IPS IN USE", "IPS RESERVED", "IPS FREE"].map(
    (title): Column => ({ title, align: "right" }),
  );
  const columns: readonly Column[] = [{ title: "GROUPING" }, { title: "CIDR" }, ...counts];
  return { columns, rows: [...rows, ...orphans.map((block) => useRow("No Pool", block))] };
}

function useRow(grouping: string, use: Use): readonly string[] {
  const share = (count: bigint) => `${formatCount(count)} (${percentOf(count, use.total)}%)`;
  return [grouping, use.cidr, formatCount(use.total), share(use.inUse), share(use.reserved), share(freeOf(use))];
}

function borrowedTable(addresses: readonly BorrowedAddresses[]): Table {
  const titles = ["IP", "BORROWING-NODE", "BLOCK", "BLOCK OWNER", "TYPE", "ALLOCATED-TO"];
  return {
    columns: titles.map((title) => ({ title })),
    rows: addresses.map((one) => [
      one.address,
      one.borrower,
      one.block,
      one.owner ?? "none",
      one.type,
      one.allocatedTo,
    ]),
  };
}

function withFree(pools: readonly PoolUse[], orphans: readonly BlockUse[]): object {
  const block = ({ reservedInUse: _, ...use }: BlockUse) => ({ ...use, free: freeOf(use) });
  return {
    pools: pools.map((pool) => ({ ...pool, free: freeOf(pool), blocks: pool.blocks.map(block) })),
    blocksInNoPool: orphans.map(block),
  };
}

function freeOf({ total, inUse, reserved }: Use): bigint {
  return total - inUse - reserved;
}

/** All digits of small numbers; large ones as calicoctl prints them, with C's `%.5g`: `1.2089e+24`. */
export function formatCount(count: bigint): string {
  if (count < 10n ** 10n) return count.toString();
  const [mantissa = "", exponent = ""] = Number(count).toExponential(4).split("e");
  return `${mantissa.replace(/\.?0+$/, "")}e${exponent}`;
}

/** Rounds half to even, as Go does: 12.5 and 87.5 give 12 and 88. */
export function percentOf(part: bigint, whole: bigint): string {
  if (whole === 0n) return "0";
  const doubled = (part * 200n) / whole;
  const isHalf = doubled % 2n === 1n && (part * 200n) % whole === 0n;
  const down = doubled / 2n;
  if (isHalf) return `${down + (down % 2n)}`;
  return `${(doubled + 1n) / 2n}`;
}
