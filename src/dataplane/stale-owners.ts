/** The owners of a network whose attachments are gone. */
export interface StaleOwners {
  /** The beginning of the network's owners (`ownerPrefixOf`). */
  readonly prefix: string;
  /** The owners that are not stale. */
  readonly except: ReadonlySet<string>;
}
