/**
 * Placeholders: handles that keep what a rebuilt block cannot tell the owner of.
 *
 * When a block's file is lost and a handle still names it, some address of it is in use and nobody knows which. All of them but the known
 * ones go to the placeholder: **none is given to a second owner**. A check finds and releases them once they are not seen in use.
 */
import { blockName } from "../../store/object-name.ts";

const prefix = "set-aside-";

export function placeholderOf(cidr: string): string {
  return `${prefix}${blockName(cidr)}`;
}

export function isPlaceholder(handleId: string): boolean {
  return handleId.startsWith(prefix) && /^[0-9a-f-]+$/.test(handleId.slice(prefix.length));
}
