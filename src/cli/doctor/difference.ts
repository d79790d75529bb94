/** The differences that CHECK of a chain found. */
import type { ReportedDifference } from "../../plugin/differences.ts";

/** A difference that one plugin found. */
export interface Difference {
  readonly plugin: string;
  readonly found: readonly ReportedDifference[];
}
