/**
 * What everything beside a plugin's own code has to know of it: `plugins/<name>/descriptor.ts` declares it once, as data.
 *
 * Build, tests, documents and the operator's command find the descriptors by `#plugins/descriptors`, which `scripts/validators.ts` writes
 * (`scripts/build/registry.ts`). A descriptor imports nothing but names.
 */

/** Its place in a chain: it makes the interface, gives it addresses, changes what the plugins before made, or prepares the sandbox itself. */
export type Role = "main" | "ipam" | "chained" | "sandbox";

export interface Descriptor {
  /** The executable's name and the `type` of a configuration. */
  readonly name: string;
  readonly role: Role;
  /** One line of Markdown for the tables of the documents. */
  readonly purpose: string;
  /** The reference plugins have one of this name: whether the executable is ours has to be looked at. */
  readonly sharesName: boolean;
  /** What it puts on a node. */
  readonly traces: Traces;
  /** What `doctor` tries, in the order in which the plugin needs it. */
  readonly features: readonly Feature[];
  /** What makes its entry in a conflist, beside `type` and `capabilities`. */
  readonly snippet: Readonly<Record<string, unknown>>;
  /** What a runtime passes only where the conflist says so. */
  readonly capabilities: readonly Capability[];
}

/** Persistent names. Never change: upgrades depend on it. */
export interface Traces {
  /** Whether anything of it outlives its process, so that an attachment may need its DEL. */
  readonly outlive: boolean;
  /** Whether it keeps the endpoint's record, from which the result of an attachment can be told. */
  readonly endpoint: boolean;
  /** In families `ip` and `ip6` of nf_tables. */
  readonly tables: readonly string[];
  /** How the names of links on the host begin that are one end of a pair whose other end is in a sandbox. */
  readonly hostInterfaces: readonly string[];
  /** How the names of the host's other links begin. */
  readonly devices: readonly string[];
  /** Files that it locks. */
  readonly locks: readonly string[];
}

/** An ability of the kernel. */
export interface Feature {
  readonly name: string;
  readonly purpose: string;
  /** What brings it, and may be built in; none: only another kernel brings it. */
  readonly module?: string;
  /** The feature without which this one cannot be tried, and is not checked. */
  readonly needs?: string;
  /** Most nodes do without: a warning, whatever networks name. */
  readonly isRare?: boolean;
  /** What a shell tries in a network namespace that ends with the attempt. */
  readonly attempt: string;
}

export interface Capability {
  readonly name: string;
  /** What follows where a conflist does not declare it. */
  readonly without: string;
  /** Keys of the conflist that do instead. */
  readonly instead: readonly string[];
}

/** The command that adds a rule of a NAT chain of its own. */
export function natRuleAttempt(hook: string, priority: number, rule: string): string {
  return `nft 'add chain ip t ${hook} { type nat hook ${hook} priority ${priority}; }; add rule ip t ${hook} ${rule}'`;
}
