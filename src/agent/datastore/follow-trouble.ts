/** What to do when a kind of the datastore's objects cannot be followed: log it, unless the datastore is away. */
import type { StoreError } from "../../store/store-error.ts";
import type { AgentLog } from "../start/start-node.ts";

export function followTrouble(log: AgentLog): (error: StoreError) => void {
  return (error) => {
    // The datastore's watch reports that it is away.
    if (error.kind !== "timeout") log.warn({ error: error.message }, "cannot follow the datastore");
  };
}
