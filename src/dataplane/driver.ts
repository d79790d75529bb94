/** The drivers' interfaces: how each kind of resource is created and compared. */
import type { Request } from "../netlink/message.ts";
import type { Resource } from "../plan/resource.ts";
import type { ApplyRun } from "./apply-run.ts";
import type { NetlinkConnection } from "./connection.ts";
import type { Namespaces } from "./namespaces.ts";

/** The context in which a driver encodes a message. */
export interface MessageContext {
  /** The index of a link at the resource's place by its name; throws `MissingError` if there is no such link. */
  readonly indexOf: (name: string) => number;
  /** The owner of the plan. */
  readonly owner: string;
}

export interface MessageDriver<R extends Resource> {
  readonly how: "message";
  /** The verb in error messages; "add" if absent. */
  readonly verb?: "set";
  /** In the words of ip(8) and tc(8): `route 10.0.0.5/32 dev cali123 scope link`. */
  describe(resource: R): string;
  /** The links, in the resource's namespace, that the resource refers to. */
  links(resource: R): readonly string[];
  /** The request that creates it, with NLM_F_REPLACE or NLM_F_EXCL. */
  create(resource: R, context: MessageContext, replace: boolean): Request;
  /** Rolls back `create`; absent or `undefined` if there is nothing to roll back. */
  remove?(resource: R, context: MessageContext, connection: NetlinkConnection): Request | undefined;
  /** Whether an existing object is success regardless of its owner; `apply` then does not compare it. */
  readonly isShared?: boolean;
  /** What differs from the plan, one text each. */
  diff(resource: R, namespaces: Namespaces): readonly string[];
  /** Whether the existing object is ours, so that `apply` may replace it. */
  mayReplace(resource: R, run: ApplyRun): boolean;
  /** The resources to apply instead, if the existing object stays. */
  instead?(resource: R, namespaces: Namespaces): R extends { readonly instead?: infer I } ? I | undefined : undefined;
}

/** A file under /proc/sys. */
export interface SysctlDriver {
  readonly how: "sysctl";
}

/** A kind that the programs of iptables apply, one family at a time. */
export interface ProgramDriver {
  readonly how: "program";
}

/** A kind that is applied and compared together with all others of nf_tables. */
export interface TableDriver {
  readonly how: "table";
}
