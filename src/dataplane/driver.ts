/** How each kind of resource is brought about and judged. */
import type { Request } from "../netlink/message.ts";
import type { IfbLink, Place, Resource, VethPair } from "../plan/resource.ts";
import type { View } from "./view.ts";

/** The index of a link by its name; throws `MissingError` when there is no such link. */
export type IndexOf = (name: string) => number;

/** What a resource is judged against. */
export interface World {
  /** The plan's. */
  readonly owner: string;
  view(place: Place): View;
  /** Whether a host link with this alias is an earlier sandbox's of the same pod; absent where nobody is to be replaced. */
  readonly isEarlier?: ((alias: string) => boolean) | undefined;
}

/** A kind that is one rtnetlink message. */
export interface MessageDriver<R extends Resource> {
  readonly how: "message";
  /** In the words of ip(8) and tc(8): `route 10.0.0.5/32 dev cali123 scope link`. */
  describe(resource: R): string;
  /** The names of the links at the resource's place that it speaks of. */
  links(resource: R): readonly string[];
  /** The kernel answers EEXIST to what exists, unless it is to `replace` it. */
  create(resource: R, indexOf: IndexOf, replace: boolean): Request;
  /** Takes back what `create` made; absent where there is nothing to take back. */
  remove?(resource: R, indexOf: IndexOf): Request;
  /** Whether that it exists is all that is wanted, whoever made it: then it is not looked at. */
  readonly isShared?: boolean;
  /** What differs from the plan, one text each. */
  judge(resource: R, world: World): readonly string[];
  /** Whether what is in the way is ours to replace. */
  mayReplace(resource: R, world: World): boolean;
}

/** A kind that makes links, before all else. */
export interface LinkDriver<R extends VethPair | IfbLink> {
  readonly how: "link";
  judge(resource: R, world: World): readonly string[];
}

/** A file under /proc/sys. */
export interface SysctlDriver {
  readonly how: "sysctl";
}

/** A kind that is applied and judged together with all others of nf_tables. */
export interface TableDriver {
  readonly how: "table";
}
