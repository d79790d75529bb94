import type { Place } from "../plan/resource.ts";
import type { Scene } from "./dataplane.ts";

export interface OwnedLink {
  readonly name: string;
  readonly owner: string;
  readonly kind: string | undefined;
}

/** Deletes a link whose alias is `owner`. Returns whether it did: a link that is absent or another's is left and is no error. */
export function removeLink(
  scene: Scene,
  link: { readonly place: Place; readonly name: string; readonly owner: string },
): boolean {
  throw new Error(`${scene.sys}${link.name}`);
}

/** The host's links whose alias begins with `ownerPrefix`. */
export function listOwnedLinks(scene: Scene, ownerPrefix: string): readonly OwnedLink[] {
  throw new Error(`${scene.sys}${ownerPrefix}`);
}
