/** What the kernel refused, as an error of the protocol: code 100, what was tried, and the kernel's reason. */
import { CniError, code } from "../cni/error.ts";
import { errnoName, errnoText } from "../netlink/errno.ts";
import type { Ack } from "../netlink/message.ts";

/** Whether the kernel refused with one of these errno names. */
export function refusedWith(ack: Ack, ...names: readonly string[]): boolean {
  return ack.errno !== 0 && names.includes(errnoName(ack.errno));
}

/** `cannot <what>: No such device (ENODEV): <the kernel's own words>; <remedy>`. */
export function refusal(what: string, ack: Ack, remedy?: string): CniError {
  const { errno, text } = ack;
  const own = text === undefined ? "" : `: ${text.endsWith(".") ? text.slice(0, -1) : text}`;
  return new CniError(
    code.refused,
    `cannot ${what}: ${errnoText(errno)}${own}${remedy === undefined ? "" : `; ${remedy}`}`,
  );
}

/** `cannot <what>: <message>` for a failed system call; any other error is a bug and stays what it is. */
export function refusedCall(what: string, error: unknown): unknown {
  if (error instanceof CniError || !(error instanceof Error) || !("code" in error)) return error;
  return new CniError(code.refused, `cannot ${what}: ${error.message}`);
}
