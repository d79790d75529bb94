/** Keeps what attachments share as long as it is wanted. There are no locks: a process that changes it checks again afterwards. */
import type { Sys } from "../host/sys.ts";
import type { RuleEntry } from "../netlink/rule.ts";
import type { NftTable } from "../plan/nft.ts";
import { followBlackholes } from "./kinds/blackhole.ts";
import { followRules, type RuleOwner } from "./kinds/shared-rule.ts";
import { moveWaitingIn, removeNftTables } from "./nftables/remove.ts";

/** The host's policy rules of one owner: `wanted` is called again after each change. */
interface SharedRules {
  readonly kind: "shared-rule";
  readonly owner: RuleOwner;
  readonly wanted: (found: readonly RuleEntry[]) => readonly RuleEntry[];
}

/** The blackhole route of each range, until `isWanted` is the same before and after; `undefined` leaves it. */
interface SharedBlackholes {
  readonly kind: "blackhole";
  readonly protocol: number;
  readonly ranges: readonly string[];
  readonly isWanted: (range: string) => boolean | undefined;
}

/** Tables that go if `isUnused` and nothing has changed since. Attachments must be recorded before they apply. */
interface SharedTables {
  readonly kind: "nft-table";
  readonly tables: readonly Pick<NftTable, "family" | "name">[];
  readonly isUnused: () => boolean;
}

/** Elements that wait for keys: they move to those that have become free. */
interface WaitingElements {
  readonly kind: "nft-elements";
  readonly tables: readonly NftTable[];
}

export type Shared = SharedRules | SharedBlackholes | SharedTables | WaitingElements;

/** Throws `KernelError` if the kernel refuses. */
export function follow(shared: Shared, sys: Sys): void {
  switch (shared.kind) {
    case "shared-rule":
      followRules(sys, shared.owner, shared.wanted);
      break;
    case "blackhole":
      followBlackholes(sys, shared.protocol, shared.ranges, shared.isWanted);
      break;
    case "nft-table":
      removeNftTables(shared.tables, shared.isUnused, sys);
      break;
    case "nft-elements":
      moveWaitingIn(shared.tables, sys);
      break;
  }
}
