/** Keys that several plugins' configurations share, as zod schemas. Read when the validators and the documents are generated; never on a node. */
import * as z from "zod";
import { annotationsCapability } from "./pod-annotations.ts";

/** Calico writes these booleans as the strings `"true"` and `"false"`; both forms are taken. */
export const stringOrBoolean = z.union([z.boolean(), z.enum(["true", "false"])]);

export const nodenameKeys = {
  nodename: z
    .string()
    .optional()
    .describe(
      "this node's name, as Kubernetes has it: lower-case letters, digits, `-` and `.`; comes before the file and the host name",
    ),
  nodename_file: z
    .string()
    .optional()
    .describe("a file that holds the node's name, /var/lib/calico/nodename by default"),
  nodename_file_optional: z
    .boolean()
    .optional()
    .describe("go on when the file that `nodename_file` names is missing; without that key it may be missing anyway"),
  hostname: z
    .string()
    .optional()
    .describe("the old name of `nodename`; used where neither `nodename` nor the file gives one"),
};

export const datastoreKeys = {
  datastore_type: z.string().optional().describe('`"file"`, the embedded store, is the only one today'),
};

/** The capability by which containerd and CRI-O hand on what Kubernetes knows of the pod. */
export const podAnnotationKeys = {
  [annotationsCapability]: z
    .record(z.string(), z.string())
    .optional()
    .describe("the pod's annotations, of which Calico's `cni.projectcalico.org/…` are honoured"),
};

export const logKeys = {
  log_level: z.string().optional().describe("debug, info, warning or error, in any case; info by default"),
  log_file_path: z.string().optional().describe("a file for the log; without it what led to a failure goes to stderr"),
  log_file_max_size: z.int().min(0).optional().describe("megabytes at which the file is rotated; 100 by default"),
  log_file_max_age: z.int().min(0).optional().describe("days that rotated files are kept; 30 by default"),
  log_file_max_count: z.int().min(0).optional().describe("rotated files that are kept; 10 by default"),
};
