/** What a kind of link tells of itself: shared code never asks which kind it has. */
import type { Link } from "../../netlink/link.ts";
import type { Request } from "../../netlink/message.ts";
import type { LinkResource, Place } from "../../plan/resource.ts";
import type { ApplyRun } from "../apply-run.ts";
import type { Namespaces } from "../namespaces.ts";
import type { LinkSignature } from "./signature.ts";

/** One link of a resource: a pair has two. */
export interface LinkEndAt {
  readonly place: Place;
  readonly name: string;
  /** The address that it is to keep. */
  readonly mac?: string | undefined;
  /** Whether it is to be looked at once more when all is done: something else may have given it another address by then. */
  readonly readBack?: boolean;
}

/** The link is there already, or it is to be made after `old` (which may have gone by itself) is deleted. */
export type Adoption = "adopted" | { readonly old: Link | undefined };

/** A kind that makes links, before all else. */
export interface LinkDriver<L extends LinkResource> {
  readonly how: "link";
  /** The kernel module that brings it. */
  readonly module: string;
  /** In the words of a message: `ifb "bwp5" on the host`. */
  describe(link: L): string;
  /** The first is the one that is created, carries the owner as its alias and takes the others with it when it is deleted. */
  ends(link: L): readonly [LinkEndAt, ...LinkEndAt[]];
  create(link: L, run: ApplyRun): Request;
  /** What one of them has before it carries an alias. */
  signature(link: L): LinkSignature;
  /** The name is taken: adjusts what is ours, tells what is to make room, throws `ConflictError` where that is another's. */
  adopt(link: L, run: ApplyRun): Adoption;
  /** What is known of the other ends without looking. */
  learnEnds?(link: L, run: ApplyRun): void;
  /** What differs from the plan, one text each. */
  diff(link: L, namespaces: Namespaces, owner: string): readonly string[];
}
