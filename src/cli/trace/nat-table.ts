/** The table of natOutgoing as nft lists it: what it translates, and to what. */
import * as z from "zod";
import { addressToBigInt, canonicalAddress } from "../../net/address.ts";
import { contains } from "../../net/prefix.ts";
import { nftObjects } from "../doctor/nft.ts";

export interface NatTable {
  /** Prefixes, addresses and ranges (`10.0.0.0-10.0.0.9`), by set. */
  readonly sets: ReadonlyMap<string, readonly string[]>;
  /** What the rules do, in their order. */
  readonly targets: readonly NatTarget[];
}

export interface NatTarget {
  /** `undefined`: masquerades, by the node's own address. */
  readonly address: string | undefined;
  /** `1024-65535`; `undefined`: any. */
  readonly ports: string | undefined;
}

const element = z.union([
  z.string(),
  z
    .object({ prefix: z.object({ addr: z.string(), len: z.int() }) })
    .transform((one) => `${one.prefix.addr}/${one.prefix.len}`),
  z.object({ range: z.tuple([z.string(), z.string()]) }).transform(({ range }) => range.join("-")),
]);
const set = z.object({ name: z.string(), elem: z.array(z.unknown()).default([]) });
const port = z.union([
  z.int().transform((one) => `${one}-${one}`),
  z.object({ range: z.tuple([z.int(), z.int()]) }).transform(({ range }) => range.join("-")),
]);
const translation = z.object({ addr: z.string().optional(), port: port.optional() });
const rule = z.object({ expr: z.array(z.record(z.string(), z.unknown())).default([]) });

/** `text`: of `nft -j list table`. */
export function parseNatTable(text: string): NatTable {
  const objects = nftObjects(text);
  const sets = objects.flatMap((one) => set.safeParse(one.set).data ?? []);
  const rules = objects.flatMap((one) => rule.safeParse(one.rule).data ?? []);
  return {
    sets: new Map(sets.map(({ name, elem }) => [name, elem.flatMap((one) => element.safeParse(one).data ?? [])])),
    targets: rules.flatMap(({ expr }) => expr.flatMap(targetOf)),
  };
}

function targetOf(statement: Readonly<Record<string, unknown>>): readonly NatTarget[] {
  if (!("masquerade" in statement) && !("snat" in statement)) return [];
  const { addr, port: ports } = translation.safeParse(statement.snat ?? statement.masquerade).data ?? {};
  return [{ address: addr === undefined ? undefined : canonicalAddress(addr), ports }];
}

export function holds({ sets }: NatTable, name: string, address: string): boolean {
  return (sets.get(name) ?? []).some((one) => {
    const [first = "", last] = one.split("-");
    if (last === undefined) return contains(first, address);
    const [low, high, own] = [first, last, address].map(addressToBigInt) as [bigint, bigint, bigint];
    return low <= own && own <= high;
  });
}
