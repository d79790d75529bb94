/** Settings of Calico's node that this agent does not implement: those that it rejects, and those that have no meaning here. */

interface Refused {
  /** Values that are allowed anyway, because the agent behaves that way. */
  readonly accepts?: RegExp;
  readonly reason: string;
}

const no = /^(false|no|0|f|n)$/i;

export const refusedSettings: Readonly<Record<string, Refused>> = {
  CALICO_DISABLE_FILE_LOGGING: { accepts: /^true$/i, reason: "it logs to its standard output alone" },
  CALICO_K8S_NODE_REF: { reason: "it finds the node's Kubernetes Node by NODENAME" },
  FELIX_WIREGUARDENABLED: { accepts: no, reason: "it encrypts nothing" },
  FELIX_WIREGUARDENABLEDV6: { accepts: no, reason: "it encrypts nothing" },
  FELIX_BPFENABLED: { accepts: no, reason: "it has no eBPF dataplane" },
};

/** Variables with these prefixes are meant for this agent or for Calico's. */
export const settingPrefix = /^(CALICO_|FELIX_|ETCD_|IP_|IP6_|K8S_|TORTIE_)/;

/** Variables that Kubernetes sets for services whose names start this way: `CALICO_TYPHA_PORT_5473_TCP_ADDR`. */
export const ofService = /_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PORT|PROTO|ADDR))?)?)$/;

/** Felix's own settings, about policies and more. */
export const ofFelix = /^FELIX_/;
