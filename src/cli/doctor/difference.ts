/** What CHECK of a chain found different. */

/** What one plugin finds other than it made it. */
export interface Difference {
  readonly plugin: string;
  readonly texts: readonly string[];
}
