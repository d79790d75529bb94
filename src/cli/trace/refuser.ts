/** Names the policy rule or the route by which the kernel refuses a packet. */
import * as z from "zod";
import { routeProtocol } from "../../identity/names.ts";
import { type Family, familyOf } from "../../net/address.ts";
import { contains, lengthOf } from "../../net/prefix.ts";
import type { Cli } from "../cli.ts";
import { type Asked, mayTake } from "../doctor/reach/check-routes.ts";
import type { IpRule } from "../doctor/reach/facts.ts";
import { ipList } from "../node/iproute.ts";
import type { Lookup, Refuser } from "./facts.ts";

/** The answer with what refuses, if the kernel refused and the tables tell. */
export async function withRefuser(
  cli: Cli,
  lookup: Lookup,
  asked: Asked,
  rules: readonly IpRule[] | undefined,
): Promise<Lookup> {
  if (lookup.kind !== "refused" || rules === undefined) return lookup;
  const by = await refuserOf(cli, asked, rules);
  return by === undefined ? lookup : { ...lookup, by };
}

async function refuserOf(cli: Cli, asked: Asked, all: readonly IpRule[]): Promise<Refuser | undefined> {
  const family = familyOf(asked.to);
  const rules = all.filter((rule) => mayTake(rule, asked));
  const rule = rules.find(({ action }) => action !== undefined);
  if (rule !== undefined) {
    const { priority, text } = rule;
    return { name: `IPv${family} rule ${priority} (${text})`, remedy: `ip -${family} rule delete pref ${priority}` };
  }
  const tables = new Set([...rules.map(({ table }) => table), "main", "local"]);
  const routes = (await refusingRoutes(cli, family)).filter(
    ({ dst, table }) => tables.has(table) && (dst === "default" || contains(dst, asked.to)),
  );
  const narrowest = routes.sort((one, other) => lengthIn(other.dst) - lengthIn(one.dst))[0];
  return narrowest && describe(narrowest, family);
}

function lengthIn(destination: string): number {
  return destination === "default" ? 0 : lengthOf(destination);
}

const types = ["blackhole", "unreachable", "prohibit"] as const;
const routesSchema = z.array(
  z.object({ dst: z.string(), table: z.string().default("main"), protocol: z.string().optional() }),
);
type Refusing = z.infer<typeof routesSchema>[number] & { readonly type: (typeof types)[number] };

/** Nothing if they cannot be read: the kernel's own words remain. */
async function refusingRoutes(cli: Cli, family: Family): Promise<Refusing[]> {
  const lists = types.map(async (type) => {
    const text = await cli.program(["ip", "-j", `-${family}`, "route", "show", "table", "all", "type", type]);
    return routesSchema.parse(ipList(text)).map((route) => ({ ...route, type }));
  });
  return (await Promise.all(lists).catch(() => [])).flat();
}

function describe({ dst, table, type, protocol }: Refusing, family: Family): Refuser {
  const name = `the ${type} route ${dst}${table === "main" ? "" : ` of table ${table}`}`;
  // The block of this node: its pods have narrower routes.
  if (protocol === `${routeProtocol}`) return { name };
  return { name, remedy: `ip -${family} route delete ${type} ${dst} table ${table}` };
}
