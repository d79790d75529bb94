/** Names for the calls in a trace. */
import type { TracedCall } from "../../host/traced-sys.ts";

/** What a call used; time outside of calls is the engine's. */
export const uses = ["engine", "netlink", "files", "programs", "agent", "locks", "other"] as const;
export type Use = (typeof uses)[number];

const useOf: Readonly<Record<string, Use>> = {
  ...{ send: "netlink", receive: "netlink", openNetlink: "netlink", close: "netlink" },
  ...{ run: "programs", exchange: "agent", lock: "locks" },
  ...{ readStdin: "other", write: "other", sleepMs: "other", openNetns: "other" },
};

/** All other calls are about files. */
export function useOfCall({ call }: Pick<TracedCall, "call">): Use {
  return useOf[call] ?? "files";
}

/** `send route NEWLINK, SETLINK`, `readFile /run/tortie/…`, `stat /proc/… (ENOENT)`. */
export function labelOf({ call, what, messages, error }: TracedCall): string {
  // The first argument of readStdin() is a limit.
  const words = [
    call,
    call === "readStdin" ? "" : what,
    messages === undefined ? "" : messageNames(what, messages),
  ].filter((word) => word !== "");
  return words.join(" ") + (error === undefined ? "" : ` (${error})`);
}

/** Equal messages in a row are counted. */
function messageNames(protocol: string, types: readonly number[]): string {
  const runs: { readonly type: number; count: number }[] = [];
  for (const type of types) {
    const last = runs.at(-1);
    if (last?.type === type) last.count++;
    else runs.push({ type, count: 1 });
  }
  return runs.map(({ type, count }) => messageName(protocol, type) + (count > 1 ? ` x${count}` : "")).join(", ");
}

const operations = ["NEW", "DEL", "GET", "SET"] as const;
/** linux/rtnetlink.h: each object has four types, from RTM_NEWLINK (16) on. */
const rtnetlinkObjects = ["LINK", "ADDR", "ROUTE", "NEIGH", "RULE", "QDISC", "TCLASS", "TFILTER", "ACTION"] as const;
/** linux/netfilter/nf_tables.h, enum nf_tables_msg_types. */
const nftMessages = [
  ...["NEWTABLE", "GETTABLE", "DELTABLE", "NEWCHAIN", "GETCHAIN", "DELCHAIN", "NEWRULE", "GETRULE", "DELRULE"],
  ...["NEWSET", "GETSET", "DELSET", "NEWSETELEM", "GETSETELEM", "DELSETELEM", "NEWGEN", "GETGEN", "TRACE"],
  ...["NEWOBJ", "GETOBJ", "DELOBJ"],
];
/** linux/netfilter/nfnetlink_conntrack.h, enum cntl_msg_types. */
const conntrackMessages = ["CT_NEW", "CT_GET", "CT_DELETE"] as const;
/** linux/netfilter/nfnetlink.h. */
const batch: Readonly<Record<number, string>> = { 16: "BATCH_BEGIN", 17: "BATCH_END" };
const subsystems: Readonly<Record<number, readonly string[]>> = { 1: conntrackMessages, 10: nftMessages };

/** The kernel's name without its prefix; the number if it is unknown. */
function messageName(protocol: string, type: number): string {
  if (protocol === "route") {
    const object = rtnetlinkObjects[(type - 16) >> 2];
    return object === undefined ? `${type}` : `${operations[(type & 3) as 0 | 1 | 2 | 3]}${object}`;
  }
  if (protocol === "netfilter") return batch[type] ?? subsystems[type >> 8]?.[type & 0xff] ?? `${type}`;
  return type === 20 ? "SOCK_DIAG_BY_FAMILY" : `${type}`;
}
