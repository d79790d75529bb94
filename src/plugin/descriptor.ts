/**
 * Declares as data what code outside of the plugin needs to know about it; each plugin has one in `plugins/<name>/descriptor.ts`.
 *
 * Build, tests, documents and the operator's command find the descriptors by `#plugins/descriptors`, which `scripts/validators.ts` writes
 * (`scripts/build/registry.ts`). A descriptor imports nothing but names.
 */

/** Its role in a chain: creates the interface, assigns addresses, changes what earlier plugins created, or prepares the sandbox itself. */
export type Role = "main" | "ipam" | "chained" | "sandbox";

export interface Descriptor {
  /** The executable's name and the `type` of a configuration. */
  readonly name: string;
  readonly role: Role;
  /** One line of Markdown for the tables of the documents. */
  readonly purpose: string;
  /** Whether a reference plugin has the same name, so that an executable with this name may be foreign. */
  readonly sharesName: boolean;
  /** The objects that it leaves on a node. */
  readonly traces: Traces;
  /** The features that `doctor` tests, in the order in which the plugin needs them. */
  readonly features: readonly Feature[];
  /** The keys of its entry in a conflist, without `type` and `capabilities`. */
  readonly snippet: Readonly<Record<string, unknown>>;
  /** Capabilities, which a runtime uses only if the conflist declares them. */
  readonly capabilities: readonly Capability[];
}

/** Persistent names. Never change: upgrades depend on it. */
export interface Traces {
  /** Whether anything outlives its process, so that an attachment needs its DEL. */
  readonly outlive: boolean;
  /** Whether it keeps the endpoint's record, from which an attachment's result can be derived. */
  readonly endpoint: boolean;
  /** In families `ip` and `ip6` of nf_tables. */
  readonly tables: readonly string[];
  /** Prefixes of the names of host interfaces, whose peers are in sandboxes. */
  readonly hostInterfaces: readonly string[];
  /** Prefixes of the names of its other links on the host. */
  readonly devices: readonly string[];
  /** Files that it locks. */
  readonly locks: readonly string[];
}

/** A feature of the kernel. */
export interface Feature {
  readonly name: string;
  readonly purpose: string;
  /** The module that provides it, which may be built in; absent: only another kernel provides it. */
  readonly module?: string;
  /** The feature without which this one cannot be tested. */
  readonly needs?: string;
  /** Most nodes do not need it: a missing feature is only a warning. */
  readonly isRare?: boolean;
  /** The shell commands of the test, which run in a temporary network namespace. */
  readonly attempt: string;
}

export interface Capability {
  readonly name: string;
  /** The effect of a conflist that does not declare it. */
  readonly without: string;
  /** Keys of the conflist with the same effect. */
  readonly instead: readonly string[];
}

/** The command that adds a rule to a NAT chain of its own. */
export function natRuleAttempt(hook: string, priority: number, rule: string): string {
  return `nft 'add chain ip t ${hook} { type nat hook ${hook} priority ${priority}; }; add rule ip t ${hook} ${rule}'`;
}
