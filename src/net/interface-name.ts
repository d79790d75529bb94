/** Names of network interfaces: which are valid. */
import { encodeUtf8 } from "./text.ts";

/** IFNAMSIZ (linux/if.h) less its final zero byte. */
const maxNameLength = 15;

/** What is wrong with a name, by the kernel's rules (dev_valid_name in net/core/dev.c); `undefined` when nothing is. */
export function interfaceNameFault(name: string): "empty" | "too long" | "dots" | "characters" | undefined {
  if (name === "") return "empty";
  // A character has three bytes at most for each of its units.
  if (name.length > maxNameLength) return "too long";
  if (name.length * 3 > maxNameLength && encodeUtf8(name).length > maxNameLength) return "too long";
  if (name === "." || name === "..") return "dots";
  if (/[/:\0\s\u0085]/.test(name)) return "characters";
  return undefined;
}
