/** The output of nft(8) as JSON (libnftables-json(5)). */
import type { Cli } from "../cli.ts";

export type NftObject = Readonly<Record<string, unknown>>;

export function nftObjects(text: string): readonly NftObject[] {
  return (JSON.parse(text) as { readonly nftables: readonly NftObject[] }).nftables;
}

/** `<family> <name>` of every table. Throws if nft is not installed (`ENOENT`) or fails. */
export async function listNftTables(cli: Cli): Promise<readonly string[]> {
  return nftObjects(await cli.program(["nft", "-j", "list", "tables"])).flatMap(({ table }) => {
    if (table === undefined) return [];
    const { family, name } = table as { readonly family: string; readonly name: string };
    return [`${family} ${name}`];
  });
}

/** One table as JSON, with `--terse` without elements; `undefined` if it was removed since it was listed. */
export async function listNftTable(
  cli: Cli,
  table: string,
  flags: readonly "--terse"[] = [],
): Promise<string | undefined> {
  try {
    return await cli.program(["nft", "-j", ...flags, "list", "table", ...table.split(" ")]);
  } catch (error) {
    if (!(await listNftTables(cli)).includes(table)) return undefined;
    throw error;
  }
}
