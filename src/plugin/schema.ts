/** zod schemas of keys that several plugins share. Used to generate the validators and the documents, never on a node. */
import * as z from "zod";
import { annotationsCapability } from "./pod-annotations.ts";

/** Calico writes these booleans as the strings `"true"` and `"false"`; both forms are accepted. */
export const stringOrBoolean = z.union([z.boolean(), z.enum(["true", "false"])]);

export const nodenameKeys = {
  nodename: z
    .string()
    .optional()
    .describe(
      "this node's name in Kubernetes: lower-case letters, digits, `-` and `.`; takes precedence over the file and the host name",
    ),
  nodename_file: z.string().optional().describe("file that contains the node's name; default /var/lib/calico/nodename"),
  nodename_file_optional: z
    .boolean()
    .optional()
    .describe("if true, the file named by `nodename_file` may be missing; the default file always may"),
  hostname: z.string().optional().describe("old name of `nodename`; used if neither `nodename` nor the file is set"),
};

export const datastoreKeys = {
  datastore_type: z
    .string()
    .optional()
    .describe(
      'where objects are stored: `"file"` (the default), the embedded datastore; `"kubernetes"` or `"etcdv3"`, a cluster\'s, which the node agent talks to',
    ),
};

/** The capability through which containerd and CRI-O pass on a pod's annotations. */
export const podAnnotationKeys = {
  [annotationsCapability]: z
    .record(z.string(), z.string())
    .optional()
    .describe("the pod's annotations; those of Calico (`cni.projectcalico.org/…`) are used"),
};

export const logKeys = {
  log_level: z.string().optional().describe("debug, info, warning or error (case-insensitive); default info"),
  log_file_path: z
    .string()
    .optional()
    .describe("log file; if unset, logs are written to stderr, and only when the call fails"),
  log_file_max_size: z.int().min(0).optional().describe("size in MB at which the file is rotated; default 100"),
  log_file_max_age: z.int().min(0).optional().describe("days to keep rotated files; default 30"),
  log_file_max_count: z.int().min(0).optional().describe("number of rotated files to keep; default 10"),
};
