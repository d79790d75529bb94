/**
 * Selects a cluster datastore and its location: from the environment variables that Calico reads, each also with the prefix `CALICO_`, or
 * from the keys of a configuration.
 */
import { CoreError } from "../../errors/core-error.ts";

export type ClusterSettings = EtcdLocation | KubernetesLocation;

export interface EtcdLocation {
  readonly type: "etcdv3";
  /** URLs; empty if `discoverySrv` is set. */
  readonly endpoints: readonly string[];
  /** A domain whose SRV records name the endpoints. */
  readonly discoverySrv: string | undefined;
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

export interface KubernetesLocation {
  readonly type: "kubernetes";
  /** Without this and `server`: the service account of the pod that this process runs in. */
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  readonly server: string | undefined;
  readonly token: string | undefined;
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly skipsTlsVerify: boolean;
  /** `crd.projectcalico.org/v1` or `projectcalico.org/v3`. */
  readonly apiGroup: ApiGroup;
}

const apiGroups = ["crd.projectcalico.org/v1", "projectcalico.org/v3"] as const;
export type ApiGroup = (typeof apiGroups)[number];

/** An invalid setting. */
export class InvalidSetting extends CoreError {
  override readonly name = "InvalidSetting";
  readonly kind = "invalid";
  readonly setting: string;

  constructor(setting: string, value: string, wanted: string) {
    super(`cannot use ${setting}=${JSON.stringify(value)}: want ${wanted}`);
    this.setting = setting;
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Throws `InvalidSetting`. Without a type: etcd if its endpoints are set, otherwise Kubernetes, as in Calico. */
export function readSettings(environment: Environment): ClusterSettings {
  const value = (name: string) => environment[name] || environment[`CALICO_${name}`] || undefined;
  const etcd = etcdLocation(value);
  const hasEndpoints = etcd.endpoints.length > 0 || etcd.discoverySrv !== undefined;
  const type = value("DATASTORE_TYPE") ?? (hasEndpoints ? "etcdv3" : "kubernetes");
  if (type === "kubernetes") return kubernetesLocation(value);
  if (type !== "etcdv3") throw new InvalidSetting("DATASTORE_TYPE", type, "etcdv3 or kubernetes");
  if (!hasEndpoints) throw new InvalidSetting("ETCD_ENDPOINTS", "", "URLs such as https://10.0.0.1:2379");
  return etcd;
}

/** The variables that correspond to the keys of a NetConf. */
export function environmentOf(conf: Readonly<Record<string, unknown>>): Environment {
  const text = (value: unknown) => (typeof value === "string" ? value : undefined);
  const { kubernetes, policy } = conf as Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
  return {
    DATASTORE_TYPE: text(conf.datastore_type),
    ETCD_ENDPOINTS: text(conf.etcd_endpoints),
    ETCD_DISCOVERY_SRV: text(conf.etcd_discovery_srv),
    ETCD_AUTHORITY: text(conf.etcd_authority),
    ETCD_SCHEME: text(conf.etcd_scheme),
    ETCD_KEY_FILE: text(conf.etcd_key_file),
    ETCD_CERT_FILE: text(conf.etcd_cert_file),
    ETCD_CA_CERT_FILE: text(conf.etcd_ca_cert_file),
    KUBECONFIG: text(kubernetes?.kubeconfig),
    K8S_API_ENDPOINT: text(kubernetes?.k8s_api_root) ?? text(policy?.k8s_api_root),
    K8S_API_TOKEN: text(policy?.k8s_auth_token),
    K8S_CERT_FILE: text(policy?.k8s_client_certificate),
    K8S_KEY_FILE: text(policy?.k8s_client_key),
    K8S_CA_FILE: text(policy?.k8s_certificate_authority),
    CALICO_API_GROUP: text(conf.calico_api_group),
  };
}

type Values = (name: string) => string | undefined;

function etcdLocation(value: Values): EtcdLocation {
  const authority = value("ETCD_AUTHORITY");
  const old = authority === undefined ? "" : `${value("ETCD_SCHEME") ?? "http"}://${authority}`;
  const endpoints = (value("ETCD_ENDPOINTS") ?? old).split(",").map((endpoint) => endpoint.trim());
  return {
    type: "etcdv3",
    endpoints: endpoints.filter((endpoint) => endpoint !== "").map(checkedEndpoint),
    discoverySrv: value("ETCD_DISCOVERY_SRV"),
    caFile: value("ETCD_CA_CERT_FILE"),
    certFile: value("ETCD_CERT_FILE"),
    keyFile: value("ETCD_KEY_FILE"),
    username: value("ETCD_USERNAME"),
    password: value("ETCD_PASSWORD"),
  };
}

function checkedEndpoint(endpoint: string): string {
  if (/^https?:\/\/[^/]+\/?$/.test(endpoint)) return endpoint;
  throw new InvalidSetting("ETCD_ENDPOINTS", endpoint, "URLs such as https://10.0.0.1:2379, separated by commas");
}

function kubernetesLocation(value: Values): KubernetesLocation {
  const group = value("CALICO_API_GROUP") ?? apiGroups[0];
  const apiGroup = apiGroups.find((one) => one === group);
  if (apiGroup === undefined) throw new InvalidSetting("CALICO_API_GROUP", group, apiGroups.join(" or "));
  return {
    type: "kubernetes",
    kubeconfig: value("KUBECONFIG"),
    context: value("K8S_CURRENT_CONTEXT"),
    server: value("K8S_API_ENDPOINT"),
    token: value("K8S_API_TOKEN"),
    caFile: value("K8S_CA_FILE"),
    certFile: value("K8S_CERT_FILE"),
    keyFile: value("K8S_KEY_FILE"),
    skipsTlsVerify: value("K8S_INSECURE_SKIP_TLS_VERIFY") === "true",
    apiGroup,
  };
}
