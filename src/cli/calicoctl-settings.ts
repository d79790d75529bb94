/**
 * Which datastore a command uses, as calicoctl decides it: by the file of `--config` if it exists, otherwise by the environment. Without
 * either, the files of this node.
 */
import { parse } from "yaml";
import * as z from "zod";
import { type ClusterSettings, type Environment, readSettings } from "../store/cluster/settings.ts";
import { CliError, exitStatus, messageOf } from "./error.ts";
import { issueTexts } from "./resources/schema-issue.ts";

export type CalicoctlSettings = ClusterSettings;

export const defaultConfigFile = "/etc/calico/calicoctl.cfg";

/** The environment variables that by themselves select a cluster's datastore. */
const selecting = ["DATASTORE_TYPE", "KUBECONFIG", "ETCD_ENDPOINTS", "ETCD_DISCOVERY_SRV", "ETCD_AUTHORITY"];

/** The variable for each field of the file. */
const variables = {
  datastoreType: "DATASTORE_TYPE",
  etcdEndpoints: "ETCD_ENDPOINTS",
  etcdDiscoverySrv: "ETCD_DISCOVERY_SRV",
  etcdUsername: "ETCD_USERNAME",
  etcdPassword: "ETCD_PASSWORD",
  etcdKeyFile: "ETCD_KEY_FILE",
  etcdCertFile: "ETCD_CERT_FILE",
  etcdCACertFile: "ETCD_CA_CERT_FILE",
  kubeconfig: "KUBECONFIG",
  k8sAPIEndpoint: "K8S_API_ENDPOINT",
  k8sKeyFile: "K8S_KEY_FILE",
  k8sCertFile: "K8S_CERT_FILE",
  k8sCAFile: "K8S_CA_FILE",
  k8sAPIToken: "K8S_API_TOKEN",
  k8sInsecureSkipTLSVerify: "K8S_INSECURE_SKIP_TLS_VERIFY",
  k8sCurrentContext: "K8S_CURRENT_CONTEXT",
  calicoAPIGroup: "CALICO_API_GROUP",
} as const;

const text = z.union([z.string(), z.boolean()]).optional();
const configSchema = z.object({
  apiVersion: z.literal("projectcalico.org/v3"),
  kind: z.literal("CalicoAPIConfig"),
  spec: z
    .strictObject({
      ...(Object.fromEntries(Object.keys(variables).map((field) => [field, text])) as Record<
        keyof typeof variables,
        typeof text
      >),
      // How calicoctl talks to the API server, without an effect here.
      k8sDisableNodePoll: text,
      k8sUsePodCIDR: text,
      k8sClientQPS: z.number().optional(),
    })
    .optional(),
});

export interface Reading {
  readonly environment: Environment;
  /** `--config`. */
  readonly file: string;
  /** `undefined` if there is no such file. */
  readonly readFile: (path: string) => string | undefined;
}

/** `undefined`: the files of this node. Throws `CliError` 2 or `InvalidSetting`. */
export function calicoctlSettings({ environment, file, readFile }: Reading): CalicoctlSettings | undefined {
  const config = readFile(file);
  if (config === undefined && file !== defaultConfigFile) {
    throw new CliError(`cannot read "${file}": there is no such file; --config is calicoctl's configuration file`);
  }
  const chosen = config === undefined ? environment : environmentIn(config, file);
  if (!selecting.some((name) => chosen[name] || chosen[`CALICO_${name}`])) return undefined;
  if ((chosen.DATASTORE_TYPE || chosen.CALICO_DATASTORE_TYPE) === "file") return undefined;
  return readSettings(chosen);
}

/** The file's settings as variables. */
function environmentIn(config: string, file: string): Environment {
  const refuse = (reason: string) => new CliError(`cannot use "${file}": ${reason}`, exitStatus.usage);
  const document = parsed(config, refuse);
  const faults = issueTexts(configSchema, document, "");
  if (faults.length > 0) throw refuse(faults.join("; "));
  const { spec = {} } = document as z.output<typeof configSchema>;
  return Object.fromEntries(
    Object.entries(variables).flatMap(([field, variable]) => {
      const value = spec[field as keyof typeof variables];
      return value === undefined ? [] : [[variable, `${value}`]];
    }),
  );
}

function parsed(config: string, refuse: (reason: string) => CliError): unknown {
  try {
    return parse(config);
  } catch (error) {
    throw refuse(messageOf(error).split("\n")[0] ?? "");
  }
}
