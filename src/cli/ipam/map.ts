/**
 * A map of each pool: one cell per block, in the order of the addresses.
 *
 *     192.168.0.0      ................................
 *     192.168.8.0      ......50........................
 *
 * On a terminal with colours the cells are bars; otherwise they are plain characters, fit for an e-mail. A row begins at a round address (its
 * length is a power of two). Consecutive rows without blocks are drawn as one. For a pool with very many blocks, only the claimed ones are
 * shown.
 */
import { createColors } from "picocolors";
import { addressOf } from "../../net/prefix.ts";
import type { Terminal } from "../ui/terminal.ts";
import { blockAt, blockCount, blockIndex } from "./block-index.ts";
import type { BlockUse, PoolUse, Utilisation } from "./utilisation.ts";

/** Pools with more blocks are not drawn as a whole. */
const maxCells = 65_536n;
const maxRowWidth = 256;

export function poolMaps({ pools, orphans }: Utilisation, node: string, terminal: Terminal): string {
  if (pools.length + orphans.length === 0) {
    return 'there is no pool yet: the first pod creates the pools of its conflist; create others with "tortie apply -f"\n';
  }
  const parts = pools.map((pool) => poolMap(pool, node, terminal));
  if (orphans.length > 0) parts.push(`blocks outside all pools: ${orphans.map(({ cidr }) => cidr).join(", ")}\n`);
  return `${parts.join("\n")}\n${legend(terminal)}`;
}

function poolMap(pool: PoolUse, node: string, terminal: Terminal): string {
  const labelWidth = Math.max(...[pool.cidr, ...pool.blocks.map(({ cidr }) => cidr)].map((cidr) => cidr.length)) + 2;
  const room = Math.max(8, Math.min(maxRowWidth, terminal.columns - labelWidth));
  const width = 2 ** Math.floor(Math.log2(room));
  const cell = (block: BlockUse | undefined) => cellOf(block, node, terminal);
  const rows = blockCount(pool) > maxCells ? claimedRows(pool.blocks, room, cell) : wholeRows(pool, width, cell);
  const lines = rows.map(({ label, cells }) => `${label.padEnd(labelWidth)}${cells}`.trimEnd());
  return `${title(pool, terminal)}\n${lines.join("\n")}${lines.length > 0 ? "\n" : ""}`;
}

interface Row {
  readonly label: string;
  readonly cells: string;
}

function title(pool: PoolUse, { colours }: Terminal): string {
  const full = pool.blocks.filter(isFull).length;
  const blocks = `${grouped(blockCount(pool))} blocks of /${pool.blockSize}, ${pool.blocks.length} claimed, ${full} full`;
  const use = `${grouped(pool.inUse)} of ${grouped(pool.total)} addresses in use`;
  const name = createColors(colours).bold(pool.name);
  return `${name}  ${pool.cidr}${pool.disabled ? "  disabled" : ""}\n${use}; ${blocks}`;
}

function wholeRows(pool: PoolUse, width: number, cell: (block: BlockUse | undefined) => string): readonly Row[] {
  const byIndex = new Map(pool.blocks.map((block) => [Number(blockIndex(pool, block.cidr)), block]));
  const count = Number(blockCount(pool));
  const rows: Row[] = [];
  let empty = 0;
  const closeGap = () => {
    if (empty > 0) rows.push({ label: "", cells: `(${empty} ${empty === 1 ? "row" : "rows"} of unclaimed blocks)` });
    empty = 0;
  };
  for (let first = 0; first < count; first += width) {
    const blocks = Array.from({ length: Math.min(width, count - first) }, (_, at) => byIndex.get(first + at));
    if (first > 0 && blocks.every((block) => block === undefined)) {
      empty++;
      continue;
    }
    closeGap();
    rows.push({ label: addressOf(blockAt(pool, BigInt(first))), cells: blocks.map(cell).join("") });
  }
  closeGap();
  return rows;
}

function claimedRows(blocks: readonly BlockUse[], width: number, cell: (block: BlockUse) => string): readonly Row[] {
  const rows: Row[] = [];
  for (let first = 0; first < blocks.length; first += width) {
    const row = blocks.slice(first, first + width);
    rows.push({ label: addressOf(row[0]?.cidr ?? ""), cells: row.map(cell).join("") });
  }
  return rows;
}

const bars = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

type State = "unclaimed" | "owned" | "full" | "borrowed from" | "another node's" | "unowned";

interface Look {
  readonly plain: string;
  readonly colour: "gray" | "green" | "red" | "yellow" | "blue" | "magenta";
  readonly meaning: string;
}

const looks: Readonly<Record<State, Look>> = {
  unclaimed: { plain: ".", colour: "gray", meaning: "unclaimed" },
  owned: { plain: "0-9", colour: "green", meaning: "this node's, tenths in use" },
  full: { plain: "#", colour: "red", meaning: "full" },
  "borrowed from": { plain: "b", colour: "yellow", meaning: "lent to another node" },
  "another node's": { plain: "o", colour: "blue", meaning: "another node's" },
  unowned: { plain: "x", colour: "magenta", meaning: "without an owner" },
};

function cellOf(block: BlockUse | undefined, node: string, { colours }: Terminal): string {
  const state = stateOf(block, node);
  const { plain, colour } = looks[state];
  if (!colours) return state === "owned" ? tenths(block) : plain;
  return createColors(true)[colour](block === undefined ? "·" : barOf(block));
}

function stateOf(block: BlockUse | undefined, node: string): State {
  if (block === undefined) return "unclaimed";
  if (block.owner === undefined) return "unowned";
  if (isFull(block)) return "full";
  if (block.borrowed > 0) return "borrowed from";
  return block.owner === node ? "owned" : "another node's";
}

function isFull({ total, inUse, reserved }: BlockUse): boolean {
  return inUse + reserved >= total;
}

/** 0: none in use; 1 to 9: up to that many tenths. */
function tenths(block: BlockUse | undefined): string {
  if (block === undefined || block.inUse === 0n) return "0";
  return `${Math.min(9, Math.ceil((Number(block.inUse) * 10) / Number(block.total)))}`;
}

function barOf({ inUse, total }: BlockUse): string {
  return bars[Math.min(bars.length - 1, Math.floor((Number(inUse) * bars.length) / Number(total)))] ?? "█";
}

function legend({ colours }: Terminal): string {
  const entries = Object.entries(looks).map(([state, { plain, colour, meaning }]) => {
    if (!colours) return `${plain} ${meaning}`;
    const sign = state === "unclaimed" ? "·" : state === "owned" ? "▁▄█" : "█";
    return `${createColors(true)[colour](sign)} ${state === "owned" ? "this node's, by use" : meaning}`;
  });
  return `${entries.slice(0, 3).join("   ")}\n${entries.slice(3).join("   ")}\n`;
}

function grouped(count: bigint): string {
  if (count >= 10n ** 15n) return `2^${count.toString(2).length - 1}`;
  return count.toString().replace(/\B(?=(\d{3})+$)/g, ",");
}
