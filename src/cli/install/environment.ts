/**
 * The network configuration that the environment of Calico's installer describes: `CNI_NETWORK_CONFIG_FILE` or `CNI_NETWORK_CONFIG`, in which words such as
 * `__CNI_MTU__` stand for other variables (cni-plugin/pkg/install).
 */
import type { Sys } from "../../host/sys.ts";
import type { Cli } from "../cli.ts";
import { CliError, failed } from "../error.ts";
import { didYouMean } from "../suggest.ts";

type Environment = Readonly<Record<string, string>>;

/** A network configuration that is to be installed. */
export interface Offered {
  /** What messages call it. */
  readonly source: string;
  /** The name of the file to install. */
  readonly name: string;
  readonly text: string;
}

const defaultName = "10-calico.conflist";
const word = /__[A-Z_]+?__/g;

/** The variable of each word, and its default. */
const variables: Environment = {
  LOG_LEVEL: "info",
  LOG_FILE_PATH: "/var/log/calico/cni/cni.log",
  LOG_FILE_MAX_SIZE: "100",
  LOG_FILE_MAX_AGE: "30",
  LOG_FILE_MAX_COUNT: "10",
  DATASTORE_TYPE: "kubernetes",
  CNI_MTU: "1500",
  KUBERNETES_SERVICE_HOST: "",
  KUBERNETES_SERVICE_PORT: "",
  CALICO_API_GROUP: "crd.projectcalico.org/v1",
  ETCD_ENDPOINTS: "",
  ETCD_DISCOVERY_SRV: "",
  REQUIRE_MTU_FILE: "false",
};
/** The words for files, below `CNI_NET_DIR`: the directory as the runtime sees it. */
const files: Environment = {
  KUBECONFIG_FILEPATH: "calico-kubeconfig",
  ETCD_CERT_FILE: "calico-tls/etcd-cert",
  ETCD_CA_CERT_FILE: "calico-tls/etcd-ca",
  ETCD_KEY_FILE: "calico-tls/etcd-key",
};

/** `conflist`: the option, which takes precedence. `undefined`: nothing is to be installed. Throws `CliError`. */
export function offeredConflist({ sys }: Cli, conflist: string | undefined, confDir: string): Offered | undefined {
  const environment = set(sys.environment());
  const { CNI_CONF_NAME, CNI_NETWORK_CONFIG_FILE, CNI_NETWORK_CONFIG } = environment;
  if (conflist !== undefined) {
    const own = conflist.slice(conflist.lastIndexOf("/") + 1);
    const name = CNI_CONF_NAME === undefined ? checkedName(own, conflist) : checkedName(CNI_CONF_NAME);
    return { source: `"${conflist}"`, name, text: textOf(sys, conflist) };
  }
  const name = checkedName(CNI_CONF_NAME ?? defaultName);
  const fill = (source: string, text: string) => ({ source, name, text: filled(sys, source, text, confDir) });
  if (CNI_NETWORK_CONFIG_FILE !== undefined)
    return fill(`"${CNI_NETWORK_CONFIG_FILE}"`, textOf(sys, CNI_NETWORK_CONFIG_FILE));
  return CNI_NETWORK_CONFIG === undefined ? undefined : fill("CNI_NETWORK_CONFIG", CNI_NETWORK_CONFIG);
}

/** The path of the earlier configuration that the new one replaces; `undefined` if it has the same name. */
export function oldConflist({ sys }: Cli, { name }: Offered, confDir: string): string | undefined {
  const { CNI_CONF_NAME, CNI_OLD_CONF_NAME } = set(sys.environment());
  const old = CNI_OLD_CONF_NAME ?? (CNI_CONF_NAME === undefined ? name : defaultName);
  return old === name ? undefined : `${confDir}/${checkedName(old)}`;
}

/** Without empty variables, which count as not set. */
function set(environment: Environment): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ""));
}

function checkedName(name: string, shown = name): string {
  if (!name.includes("/") && /.\.(conf|conflist|json)$/.test(name)) return name;
  throw new CliError(`cannot install "${shown}": runtimes read only *.conflist, *.conf and *.json`);
}

function textOf(sys: Sys, path: string): string {
  try {
    return sys.readFile(path);
  } catch (error) {
    throw failed(`cannot install "${path}"`, error);
  }
}

/** Throws `CliError` for a word that stands for nothing. */
function filled(sys: Sys, source: string, text: string, confDir: string): string {
  const environment = set(sys.environment());
  const { CNI_NET_DIR = confDir } = environment;
  return text.replaceAll(word, (placeholder) => {
    const name = placeholder.slice(2, -2);
    const value = environment[name] ?? variables[name];
    if (name in variables && value !== undefined) return JSON.stringify(value).slice(1, -1);
    if (name === "KUBERNETES_NODE_NAME") return environment[name] ?? sys.hostname().toLowerCase();
    if (name in files) return `${CNI_NET_DIR}/${files[name]}`;
    const known = [...Object.keys(variables), ...Object.keys(files), "KUBERNETES_NODE_NAME"].map((one) => `__${one}__`);
    const why =
      name === "SERVICEACCOUNT_TOKEN"
        ? "no token belongs into a file that everybody may read, and no plugin needs it"
        : `it stands for nothing${didYouMean(placeholder, known)}`;
    throw new CliError(`cannot replace ${placeholder} in ${source}: ${why}`);
  });
}
