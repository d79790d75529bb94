/** Pools that an administrator changed after the last ADD: the shared tables still contain the earlier ones, which harms no pod. */

import { natTable } from "../../identity/names.ts";
import { poolsDigest } from "../../plan/nat-outgoing.ts";
import type { NftElements } from "../../plan/nft.ts";
import type { Note } from "./finding.ts";
import type { FirewallFacts, NftTable } from "./firewall.ts";
import { type NatFacts, natResources } from "./node-agent.ts";

/** The tables that the next ADD updates. */
export function notesOfChangedPools({ nftTables }: FirewallFacts, nat: NatFacts): readonly Note[] {
  const wanted = natResources(nat).filter((one) => one.kind === "nft-elements");
  return nftTables.filter(({ name }) => name === natTable).flatMap((table) => noteOf(table, wanted));
}

function noteOf(table: NftTable, wanted: readonly NftElements[]): readonly Note[] {
  const ofTable = wanted.filter(({ family }) => family === table.family);
  const digest = ofTable.find(({ set }) => set === poolsDigest)?.elements[0]?.data?.[0];
  const held = table.elements.find(({ set }) => set === poolsDigest)?.target;
  // Without a digest, no ADD has written the sets. With an equal digest they are up to date, or damaged.
  if (held === undefined || Number(held) === Number(digest)) return [];
  const sets = [...new Set(table.elements.map(({ set }) => set)), ...ofTable.map(({ set }) => set)];
  const changes = [...new Set(sets)]
    .filter((set) => set !== poolsDigest)
    .flatMap((set) => changesOf(table, set, ofTable.find((one) => one.set === set)?.elements ?? []));
  // Only the digest: without pools there is none to compare.
  if (changes.length === 0) return [];
  return [
    {
      section: "firewall",
      subject: `table ${table.family} ${table.name}`,
      text: `the pools have changed since the last ADD (${changes.join(", ")}): the next ADD applies that`,
    },
  ];
}

function changesOf(table: NftTable, set: string, elements: NftElements["elements"]): readonly string[] {
  const held = table.elements.filter((one) => one.set === set).map(({ key }) => withLength(key, table.family));
  const wanted = elements.map(({ key }) => key.join(" . "));
  const sides = [
    { verb: "joins", keys: wanted.filter((key) => !held.includes(key)) },
    { verb: "leaves", keys: held.filter((key) => !wanted.includes(key)) },
  ];
  return sides.flatMap(({ verb, keys }) => keys.map((key) => `${key} ${verb} ${set}`));
}

/** nft omits the prefix length of a single address. */
function withLength(key: string, family: NftTable["family"]): string {
  return key.includes("/") ? key : `${key}/${family === "ip" ? 32 : 128}`;
}
