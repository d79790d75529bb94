/** The interface of a link kind's driver. Shared code never branches on the kind. */
import type { Link } from "../../netlink/link.ts";
import type { NewLinks } from "../../netlink/new-link.ts";
import type { LinkResource, Place } from "../../plan/resource.ts";
import type { ApplyRun } from "../apply-run.ts";
import type { Namespaces } from "../namespaces.ts";
import type { LinkSignature } from "./signature.ts";

/** One link of a resource: a pair has two. */
export interface LinkEndAt {
  readonly place: Place;
  readonly name: string;
  /** The MAC address that it must keep. */
  readonly mac?: string | undefined;
  /** Whether to read it again at the end, because another program may have changed its address. */
  readonly readBack?: boolean;
}

/** The existing link is kept, or it is to be created after `old` (which may vanish by itself) is deleted. */
export type Adoption = "adopted" | { readonly old: Link | undefined };

/** A kind of links, which are created before all other resources. */
export interface LinkDriver<L extends LinkResource> {
  readonly how: "link";
  /** The kernel module that provides it. */
  readonly module: string;
  /** For messages: `ifb "bwp5" on the host`. */
  describe(link: L): string;
  /** The first one is created explicitly and has the owner as alias; deleting it deletes the others. */
  ends(link: L): readonly [LinkEndAt, ...LinkEndAt[]];
  /** What to create. */
  create(link: L, run: ApplyRun): NewLinks[L["kind"]];
  /** Identifies one that has no alias yet. */
  signature(link: L): LinkSignature;
  /** Handles an existing link: updates ours, names an old one to delete, throws `ConflictError` for a foreign one. */
  adopt(link: L, run: ApplyRun): Adoption;
  /** Registers the known properties of the other ends without a request. */
  learnEnds?(link: L, run: ApplyRun): void;
  /** What differs from the plan, one text each. */
  diff(link: L, namespaces: Namespaces, owner: string): readonly string[];
}
