/** Logs the addresses that were released. */
import type { Context } from "../../src/plugin/plugin.ts";

/** Logs nothing if nothing was released: DEL and GC are repeated. */
export function logReleased(
  { log }: Context,
  message: string,
  released: readonly { readonly address: string }[],
  more = {},
): void {
  const fields = () => ({ ...more, ips: released.map(({ address }) => address) });
  if (released.length > 0) log.info(message, fields);
  else log.debug(message, fields);
}
