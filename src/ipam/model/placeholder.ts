/**
 * Placeholders: handles for addresses of a repaired block whose owner is unknown.
 *
 * If a block's file is lost and a handle still names it, some of its addresses are in use, but not known which. All addresses without a known
 * owner go to the placeholder, so **none gets a second owner**. A check releases them once they are not seen in use.
 */
import { blockName } from "../../store/object-name.ts";

const prefix = "set-aside-";

export function placeholderOf(cidr: string): string {
  return `${prefix}${blockName(cidr)}`;
}

export function isPlaceholder(handleId: string): boolean {
  return handleId.startsWith(prefix) && /^[0-9a-f-]+$/.test(handleId.slice(prefix.length));
}
