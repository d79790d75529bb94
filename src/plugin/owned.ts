/** DEL and GC of a plugin that declares what its attachments own: removes everything by name and owner. */
import type { Result } from "../cni/result.ts";
import {
  type Removal,
  type Removed,
  type StaleOwners,
  type StaleRemoval,
  withExecutor,
} from "../dataplane/executor.ts";
import { runEvery } from "../errors/run-every.ts";
import { type Attachment, ownerOf, ownerPrefixOf } from "../identity/attachment.ts";
import type { NftTable } from "../plan/nft.ts";
import type { Context, Plugin } from "./plugin.ts";
import { inSandboxAt } from "./sandbox.ts";

export interface Owned {
  /** In the sandbox; skipped if the sandbox is gone. */
  inSandbox?(attachment: Attachment): readonly Removal[];
  onHost?(attachment: Attachment, prevResult: Result | undefined): readonly Removal[];
  /** Links of the host that GC must find without a record; without a signature if other programs may create links like that. */
  readonly links?: Pick<Extract<StaleRemoval, { kind: "link" }>, "of" | "isOurName" | "signature">;
  /** Tables in which each attachment has elements. */
  readonly tables?: readonly NftTable[];
  /** iptables chains, of which each attachment has one. */
  readonly chains?: {
    removalOf(attachment: Attachment): Removal;
    /** Those of the network's attachments that are not in `valid`. */
    staleOf(network: string, valid: readonly Attachment[]): StaleRemoval;
  };
  /** Called with the elements and chains removed, once for each removal. */
  onRemoved?(removed: readonly Removed[], context: Context): void;
}

export function removalOf(owned: Owned): Pick<Plugin<unknown>, "del" | "gc"> {
  const { inSandbox, onHost, links, tables, chains, onRemoved = () => {} } = owned;
  const elements = tables === undefined ? [] : [{ kind: "nft-elements", tables } as const];
  return {
    del({ attachment, netns, prevResult }, context) {
      const { sys } = context;
      const owner = ownerOf(attachment);
      const removals: readonly Removal[] = [
        ...elements,
        ...(chains === undefined ? [] : [chains.removalOf(attachment)]),
        ...(onHost?.(attachment, prevResult) ?? []),
      ];
      runEvery([
        () => inSandbox && inSandboxAt(sys, netns, (executor) => executor.remove(owner, inSandbox(attachment))),
        () =>
          withExecutor(sys, undefined, (executor) =>
            runEvery(removals.map((one) => () => onRemoved(executor.remove(owner, [one]), context))),
          ),
      ]);
    },

    gc({ network, valid }, context) {
      const kept = valid.map((attachment) => ({ network, ...attachment }));
      const removals: readonly StaleRemoval[] = [
        ...elements,
        ...(chains === undefined ? [] : [chains.staleOf(network, kept)]),
        ...(links === undefined ? [] : [{ kind: "link", ...links } as const]),
      ];
      const owners = ownersExcept(network, new Set(kept.map(ownerOf)));
      withExecutor(context.sys, undefined, (executor) =>
        runEvery(removals.map((one) => () => onRemoved(executor.remove(owners, [one]), context))),
      );
    },
  };
}

/** The network's owners without those in `valid`. */
export function ownersExcept(network: string, valid: ReadonlySet<string>): StaleOwners {
  return { prefix: ownerPrefixOf(network), except: valid };
}
