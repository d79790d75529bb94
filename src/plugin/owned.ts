/** DEL and GC of a plugin that declares what its attachments own: removes everything by name and owner. */
import type { Result } from "../cni/result.ts";
import { type Executor, withExecutor } from "../dataplane/executor.ts";
import { runEvery } from "../errors/run-every.ts";
import { type Attachment, ownerOf, ownerPrefixOf } from "../identity/attachment.ts";
import type { NftTable } from "../plan/nft.ts";
import { nftOwnerSet } from "../plan/nft-owner.ts";
import type { Context, Plugin } from "./plugin.ts";
import { findSandbox } from "./sandbox.ts";

type Removal = Parameters<Executor["remove"]>[1][number];
type Collection = Parameters<Executor["collect"]>[0];
type Removed = ReturnType<Executor["remove"]>;
type Links = Parameters<Executor["list"]>[0];
type Signature = Parameters<Executor["removeUnclaimed"]>[1];

export interface Owned {
  /** In the sandbox; skipped if the sandbox is gone. */
  inSandbox?(attachment: Attachment): readonly Removal[];
  onHost?(attachment: Attachment, prevResult: Result | undefined): readonly Removal[];
  /** Links of the host that GC must find without a record. */
  readonly links?: {
    readonly kind: Links;
    /** Whether the plugin may have created a link with this name: other plugins of the network own links of the kind too. */
    readonly isOurName: (name: string) => boolean;
    /** Identifies one with such a name but without an alias; absent if other programs may create links like that. */
    readonly signature?: Signature;
  };
  /** Tables in which each attachment has elements. */
  readonly tables?: readonly NftTable[];
  /** iptables chains, of which each attachment has one. */
  readonly chains?: {
    removalOf(attachment: Attachment): Removal;
    /** Those of the network's attachments that are not in `valid`. */
    staleOf(network: string, valid: readonly Attachment[]): Collection;
  };
  /** Called with the elements and chains removed, once for each of `tables` and `chains`. */
  onRemoved?(removed: Removed, context: Context): void;
}

export function removalOf(owned: Owned): Pick<Plugin<unknown>, "del" | "gc"> {
  const { inSandbox, onHost, links, tables, chains, onRemoved = () => {} } = owned;
  return {
    del({ attachment, netns, prevResult }, context) {
      const { sys } = context;
      const sandbox = inSandbox === undefined || netns === undefined ? undefined : findSandbox(sys, netns);
      const removals: readonly Removal[] = [
        ...(tables === undefined ? [] : [{ kind: "nft-elements", tables } as const]),
        ...(chains === undefined ? [] : [chains.removalOf(attachment)]),
        ...(sandbox === undefined ? [] : (inSandbox?.(attachment) ?? [])),
        ...(onHost?.(attachment, prevResult) ?? []),
      ];
      if (removals.length === 0) return;
      const owner = ownerOf(attachment);
      withExecutor(sys, sandbox, (executor) =>
        runEvery(removals.map((one) => () => onRemoved(executor.remove(owner, [one]), context))),
      );
    },

    gc({ network, valid }, context) {
      const kept = valid.map((attachment) => ({ network, ...attachment }));
      withExecutor(context.sys, undefined, (executor) => {
        const collections: readonly Collection[] = [
          ...(tables === undefined ? [] : [staleElements(tables, network, kept)]),
          ...(chains === undefined ? [] : [chains.staleOf(network, kept)]),
        ];
        runEvery([
          ...collections.map((one) => () => onRemoved(executor.collect(one), context)),
          () => links && collectLinks(executor, links, network, kept),
        ]);
      });
    },
  };
}

function staleElements(tables: readonly NftTable[], network: string, valid: readonly Attachment[]): Collection {
  const prefix = ownerPrefixOf(network);
  const kept = new Set(valid.map((attachment) => nftOwnerSet(ownerOf(attachment))));
  return {
    kind: "nft-elements",
    tables,
    isStale: ({ comment, setName }) => comment.startsWith(prefix) && !kept.has(setName),
  };
}

function collectLinks(
  executor: Executor,
  { kind, isOurName, signature }: NonNullable<Owned["links"]>,
  network: string,
  valid: readonly Attachment[],
): void {
  const kept = new Set(valid.map(ownerOf));
  const stale = executor
    .list(kind, ownerPrefixOf(network))
    .filter(({ name, owner }) => isOurName(name) && !kept.has(owner));
  runEvery([
    () => executor.removeLinks(stale),
    // A link whose alias was not written yet: DEL finds it by name, GC by its signature.
    () => signature && executor.removeUnclaimed(isOurName, signature),
  ]);
}
