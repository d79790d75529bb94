/** DEL and GC of a plugin that declares what its attachments own: everything goes by name and owner. */
import { type Executor, withExecutor } from "../dataplane/executor.ts";
import { runEvery } from "../errors/run-every.ts";
import { type Attachment, ownerOf, ownerPrefixOf } from "../identity/attachment.ts";
import type { Plugin } from "./plugin.ts";
import { findSandbox } from "./sandbox.ts";

type Removal = Parameters<Executor["remove"]>[1][number];
type Links = Parameters<Executor["list"]>[0];
type Signature = Parameters<Executor["removeUnclaimed"]>[1];

export interface Owned {
  /** In the sandbox; nothing is done where it is gone. */
  inSandbox?(attachment: Attachment): readonly Removal[];
  onHost?(attachment: Attachment): readonly Removal[];
  /** Links of the host of which GC is to find those that no record tells. */
  readonly links?: {
    readonly kind: Links;
    /** Whether the plugin may have made a link of this name: so it knows one that was not claimed. */
    readonly isOurName: (name: string) => boolean;
    readonly signature: Signature;
  };
}

export function removalOf({ inSandbox, onHost, links }: Owned): Pick<Plugin<unknown>, "del" | "gc"> {
  return {
    del({ attachment, netns }, { sys }) {
      const owner = ownerOf(attachment);
      const sandbox = inSandbox === undefined || netns === undefined ? undefined : findSandbox(sys, netns);
      const removals = [
        ...(sandbox === undefined ? [] : (inSandbox?.(attachment) ?? [])),
        ...(onHost?.(attachment) ?? []),
      ];
      if (removals.length > 0) withExecutor(sys, sandbox, (executor) => executor.remove(owner, removals));
    },

    gc({ network, valid }, { sys }) {
      if (links === undefined) return;
      const owners = new Set(valid.map((attachment) => ownerOf({ network, ...attachment })));
      withExecutor(sys, undefined, (executor) => {
        const stale = executor.list(links.kind, ownerPrefixOf(network)).filter(({ owner }) => !owners.has(owner));
        runEvery([
          ...stale.map(
            ({ name, owner }) =>
              () =>
                void executor.remove(owner, [{ kind: "link", at: "host", name }]),
          ),
          // What says whose it is was not written yet: DEL knows it by its name, GC by its state.
          () => executor.removeUnclaimed(links.isOurName, links.signature),
        ]);
      });
    },
  };
}
