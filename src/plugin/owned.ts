/** DEL and GC of a plugin that declares what its attachments own: removes everything by name and owner. */
import { type Executor, withExecutor } from "../dataplane/executor.ts";
import { runEvery } from "../errors/run-every.ts";
import { type Attachment, ownerOf, ownerPrefixOf } from "../identity/attachment.ts";
import type { Plugin } from "./plugin.ts";
import { findSandbox } from "./sandbox.ts";

type Removal = Parameters<Executor["remove"]>[1][number];
type Links = Parameters<Executor["list"]>[0];
type Signature = Parameters<Executor["removeUnclaimed"]>[1];

export interface Owned {
  /** In the sandbox; skipped if the sandbox is gone. */
  inSandbox?(attachment: Attachment): readonly Removal[];
  onHost?(attachment: Attachment): readonly Removal[];
  /** Links of the host that GC must find without a record. */
  readonly links?: {
    readonly kind: Links;
    /** Whether the plugin may have created a link with this name, so that it recognises one without an alias. */
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
          () => executor.removeLinks(stale),
          // A link whose alias was not written yet: DEL finds it by name, GC by its signature.
          () => executor.removeUnclaimed(links.isOurName, links.signature),
        ]);
      });
    },
  };
}
