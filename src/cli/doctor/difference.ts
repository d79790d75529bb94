/** What CHECK of a chain found different. */
import type { ReportedDifference } from "../../plugin/differences.ts";

/** What one plugin finds other than it made it. */
export interface Difference {
  readonly plugin: string;
  readonly found: readonly ReportedDifference[];
}
