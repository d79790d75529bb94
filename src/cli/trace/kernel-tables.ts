/** Asks the kernel by ip(8) and bridge(8): interfaces, routes, neighbour and FDB entries. What cannot be asked is an answer too, with its reason. */
import { setTimeout } from "node:timers/promises";
import * as z from "zod";
import { canonicalAddress, type Family, familyOf } from "../../net/address.ts";
import { canonicalMac } from "../../net/mac.ts";
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import { ipList, kernelsWords } from "../node/iproute.ts";
import type { Entry, Link, Lookup, VxlanLink } from "./facts.ts";

/** Words before a program: none on the node, `nsenter …` in a pod. */
export type Enter = readonly string[];

/** The first line of an error: a program's whole output does not fit into a step. */
export function reasonOf(error: unknown): string {
  const lines = messageOf(error).split("\n");
  // The line of the command that failed says less than what the program said.
  return lines.find((line, at) => at > 0 && line.trim() !== "") ?? lines[0] ?? "";
}

const linkSchema = z.object({
  ifname: z.string(),
  mtu: z.int().default(0),
  address: z.string().optional(),
  flags: z.array(z.string()).default([]),
  addr_info: z.array(z.object({ local: z.string().optional() })).default([]),
  linkinfo: z
    .object({
      info_kind: z.string().optional(),
      info_data: z
        .object({
          id: z.int().optional(),
          port: z.int().optional(),
          link: z.string().optional(),
          local: z.string().optional(),
          local6: z.string().optional(),
        })
        .optional(),
    })
    .optional(),
});
type IpLink = z.infer<typeof linkSchema>;

/** By name. Throws if they cannot be read. */
export async function readLinks(cli: Cli, enter: Enter): Promise<ReadonlyMap<string, Link>> {
  const listed = ipList(await cli.program([...enter, "ip", "-j", "-d", "address", "show"]));
  const found = listed.flatMap((one) => linkSchema.safeParse(one).data ?? []);
  return new Map(found.map((one) => [one.ifname, linkOf(one)]));
}

function linkOf({ ifname: name, mtu, address: mac, flags, addr_info, linkinfo }: IpLink): Link {
  return {
    ...{ name, mtu, mac },
    isUp: flags.includes("UP"),
    // The kernel changes it at once, and NO-CARRIER up to a second later (linkwatch).
    hasCarrier: flags.includes("LOWER_UP"),
    addresses: addr_info.flatMap(({ local = "" }) => canonicalAddress(local) ?? []),
    ...(linkinfo?.info_kind === "vxlan" && { vxlan: vxlanOf(linkinfo.info_data) }),
  };
}

function vxlanOf(data: NonNullable<IpLink["linkinfo"]>["info_data"]): VxlanLink {
  const { id: vni, port, link: below, local, local6 } = data ?? {};
  return { vni, port, below, local: canonicalAddress(local ?? local6 ?? "") };
}

const answer = z.object({
  dst: z.string().optional(),
  dev: z.string().optional(),
  gateway: z.string().optional(),
  via: z.object({ host: z.string() }).optional(),
  table: z.string().optional(),
  protocol: z.string().optional(),
});

/** ip(8) exits with it if the kernel refuses; with others if it did not ask. */
const refusedStatus = 2;

/** The kernel's route, and which entry of its tables it is. */
export async function lookUp(cli: Cli, enter: Enter, family: Family, words: readonly string[]): Promise<Lookup> {
  const ask = async (how: readonly string[]) => {
    const argv = [...enter, "ip", "-j", `-${family}`, "route", "get", ...how, ...words];
    return await cli.execute(argv, { env: {}, stdin: "", timeoutMs: 10_000 });
  };
  try {
    const { status, stdout, stderr } = await ask([]);
    if (status === refusedStatus) return { kind: "refused", reason: reasonIn(stderr) };
    if (status !== 0) return { kind: "unasked", reason: reasonIn(stderr) };
    const [route] = z.array(answer).parse(JSON.parse(stdout));
    if (route?.dev === undefined) return { kind: "refused", reason: "the route refuses packets" };
    const matched = await ask(["fibmatch"]);
    const [match] = matched.status === 0 ? z.array(answer).parse(JSON.parse(matched.stdout)) : [];
    const gateway = route.gateway ?? route.via?.host;
    const { dst: via, table = route.table, protocol } = match ?? {};
    return { kind: "route", dev: route.dev, gateway, via, table, protocol };
  } catch (error) {
    return { kind: "unasked", reason: reasonOf(error) };
  }
}

function reasonIn(stderr: string): string {
  const line = stderr.split("\n").find((one) => one.trim() !== "") ?? "";
  return kernelsWords(line) || "ip says no reason";
}

const neighbourSchema = z.object({ lladdr: z.string().optional(), state: z.array(z.string()).default([]) });

/** A neighbour in the same network answers within milliseconds: what is asked for longer does not answer. */
const patienceMs = 1000;

export async function neighbourOf(cli: Cli, enter: Enter, address: string, dev: string): Promise<Entry> {
  const argv = [...enter, "ip", "-j", `-${familyOf(address)}`, "neighbour", "show", address, "dev", dev];
  const ask = async () => {
    const entries = ipList(await cli.program(argv));
    return entries.flatMap((one) => neighbourSchema.safeParse(one).data ?? [])[0];
  };
  try {
    let found = await ask();
    if (found?.state.includes("INCOMPLETE") === true) {
      await setTimeout(patienceMs);
      found = await ask();
    }
    if (found === undefined) return { kind: "missing" };
    const state = found.state.join(" ");
    if (/FAILED|INCOMPLETE/.test(state)) return { kind: "silent", state };
    if (found.lladdr === undefined) return { kind: "missing" };
    return { kind: "found", value: canonicalMac(found.lladdr) ?? found.lladdr, state };
  } catch (error) {
    return { kind: "unread", reason: reasonOf(error) };
  }
}

const fdbSchema = z.object({ mac: z.string(), dst: z.string() });

/** The FDB's entry for a MAC address. */
export async function forwardedTo(cli: Cli, dev: string, mac: string): Promise<Entry> {
  try {
    const entries = ipList(await cli.program(["bridge", "-j", "fdb", "show", "dev", dev]));
    const known = entries.flatMap((one) => fdbSchema.safeParse(one).data ?? []);
    const dst = known.find((one) => one.mac === mac)?.dst;
    return dst === undefined ? { kind: "missing" } : { kind: "found", value: canonicalAddress(dst) ?? dst };
  } catch (error) {
    return { kind: "unread", reason: reasonOf(error) };
  }
}
