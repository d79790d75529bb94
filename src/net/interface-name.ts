/** Validates names of network interfaces. */
import { encodeUtf8 } from "./text.ts";

/** IFNAMSIZ (linux/if.h) minus the final NUL. */
const maxNameLength = 15;

/** Why a name is invalid by the kernel's rules (dev_valid_name in net/core/dev.c); `undefined` if it is valid. */
export function interfaceNameFault(name: string): "empty" | "too long" | "dots" | "characters" | undefined {
  if (name === "") return "empty";
  // UTF-8 needs at most three bytes per UTF-16 code unit.
  if (name.length > maxNameLength) return "too long";
  if (name.length * 3 > maxNameLength && encodeUtf8(name).length > maxNameLength) return "too long";
  if (name === "." || name === "..") return "dots";
  if (/[/:\0\s\u0085]/.test(name)) return "characters";
  return undefined;
}
