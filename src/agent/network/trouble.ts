/** Why some node or some device is not reachable: sentences for the log, and for `/readiness` if this node itself is concerned. */
export interface Trouble {
  /** A text that stays the same while the trouble lasts. */
  readonly about: string;
  readonly message: string;
  /** Whether it mostly passes by itself, as when a node joins. */
  readonly isUsual?: boolean;
  /** Whether it is this node that takes no full part in the network. */
  readonly isOwn?: boolean;
}
