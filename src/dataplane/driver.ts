/** How a kind of resource that is one rtnetlink message is brought about and compared. */
import type { Request } from "../netlink/message.ts";
import type { Resource } from "../plan/resource.ts";
import type { ApplyRun } from "./apply-run.ts";
import type { NetlinkConnection } from "./connection.ts";
import type { Namespaces } from "./namespaces.ts";

/** What a message is made of beside its resource. */
export interface MessageContext {
  /** The index of a link at the resource's place by its name; throws `MissingError` when there is no such link. */
  readonly indexOf: (name: string) => number;
  /** The plan's. */
  readonly owner: string;
}

export interface MessageDriver<R extends Resource> {
  readonly how: "message";
  /** What an error says was tried; "add" where none is given. */
  readonly verb?: "set";
  /** In the words of ip(8) and tc(8): `route 10.0.0.5/32 dev cali123 scope link`. */
  describe(resource: R): string;
  /** The names of the links at the resource's place that it speaks of. */
  links(resource: R): readonly string[];
  /** The kernel answers EEXIST to what exists, unless it is to `replace` it. */
  create(resource: R, context: MessageContext, replace: boolean): Request;
  /** Takes back what `create` made; absent, or `undefined`, where there is nothing to take back. */
  remove?(resource: R, context: MessageContext, connection: NetlinkConnection): Request | undefined;
  /** Whether that it exists is all that is wanted, whoever made it: then it is not looked at. */
  readonly isShared?: boolean;
  /** What differs from the plan, one text each. */
  diff(resource: R, namespaces: Namespaces): readonly string[];
  /** Whether what is there in its stead is ours to replace. */
  mayReplace(resource: R, run: ApplyRun): boolean;
  /** What is wanted where that stays. */
  instead?(resource: R, namespaces: Namespaces): R extends { readonly instead?: infer I } ? I | undefined : undefined;
}

/** A file under /proc/sys. */
export interface SysctlDriver {
  readonly how: "sysctl";
}

/** A kind that programs bring about, a family at a time. */
export interface ProgramDriver {
  readonly how: "program";
}

/** A kind that is applied and compared together with all others of nf_tables. */
export interface TableDriver {
  readonly how: "table";
}
