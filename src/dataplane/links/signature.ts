/** Recognises links with a name of ours but no alias: their ADD was killed before it wrote the alias. */
import type { Link } from "../../netlink/link.ts";
import type { LinkKind } from "../../plan/resource.ts";

/** Properties of a link from its creation on. */
export interface LinkSignature {
  readonly kind: LinkKind;
  readonly mac?: string | undefined;
}

/**
 * Whether a link with one of our names was created like ours but has no alias yet. (The Go plugins write no alias, so their links for the same
 * pod are taken over as well.)
 */
export function isUnclaimed({ alias, kind, mac }: Link, born: LinkSignature): boolean {
  return alias === undefined && kind === born.kind && (born.mac === undefined || mac === born.mac);
}
