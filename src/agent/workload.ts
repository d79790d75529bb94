/** The attachment that a request is about. */
import type { Attachment } from "../identity/attachment.ts";
import type { Pod } from "../identity/pod.ts";

export interface Workload {
  readonly node: string;
  readonly attachment: Attachment;
  /** Absent for a container without a pod. */
  readonly pod: Pod | undefined;
}
