/** Every setting, by the name of its environment variable. The command line has an option for each: `ETCD_ENDPOINTS` is `--etcd-endpoints`. */
import * as z from "zod";
import { asNumber } from "../bgp/resources.ts";
import {
  address,
  backend,
  clusterRoutes,
  duration,
  enabled,
  encapsulation,
  logLevel,
  method,
  mtu,
  natExclusions,
  nodeName,
  numberBetween,
  outInterface,
  ownAddress,
  path,
  poolCidr,
  port,
  ports,
  routerId,
  selector,
  spoofing,
  text,
  yesOrNo,
} from "./values.ts";

/** Which datastore, and how to reach it (`src/store/cluster/settings.ts`). Each is also accepted with the prefix `CALICO_`. */
export const datastoreShape = {
  DATASTORE_TYPE: text.describe("`etcdv3` or `kubernetes`; default: `etcdv3` if it has endpoints, else `kubernetes`"),
  ETCD_ENDPOINTS: text.describe("URLs of etcd's servers, separated by commas"),
  ETCD_DISCOVERY_SRV: text.describe("domain whose SRV records name etcd's servers"),
  ETCD_CA_CERT_FILE: path.describe("certificates of the authorities that etcd's own is signed by"),
  ETCD_CERT_FILE: path.describe("certificate to show to etcd"),
  ETCD_KEY_FILE: path.describe("its key"),
  ETCD_USERNAME: text.describe("user of etcd"),
  ETCD_PASSWORD: text.describe("the user's password"),
  ETCD_AUTHORITY: text.describe("host and port of etcd; an older word for `ETCD_ENDPOINTS`"),
  ETCD_SCHEME: text.describe("`http` or `https`, before `ETCD_AUTHORITY`"),
  KUBECONFIG: path.describe("kubeconfig; without it the service account of the pod"),
  K8S_CURRENT_CONTEXT: text.describe("context of the kubeconfig"),
  K8S_API_ENDPOINT: text.describe("URL of the API server"),
  K8S_API_TOKEN: text.describe("token to show to it"),
  K8S_CA_FILE: path.describe("certificates of the authorities that its own is signed by"),
  K8S_CERT_FILE: path.describe("certificate to show to it"),
  K8S_KEY_FILE: path.describe("its key"),
  K8S_INSECURE_SKIP_TLS_VERIFY: text.describe("`true`: take any certificate of the API server"),
  CALICO_API_GROUP: text.describe("`crd.projectcalico.org/v1`, the default, or `projectcalico.org/v3`"),
};

const node = {
  NODENAME: nodeName.describe("this node's name; default: the nodename file, `HOSTNAME`, the host name in lower case"),
  CALICO_NODENAME_FILE: path.describe("file that the name is written to; default /var/lib/calico/nodename"),
  IP: ownAddress(4).describe(
    "this node's IPv4 address, with or without the length of its network; `autodetect` or `none`; default: what the Node has, else `autodetect`",
  ),
  IP6: ownAddress(6).describe("its IPv6 address; default: what the Node has"),
  IP_AUTODETECTION_METHOD: method.describe(
    "`first-found`, `can-reach=HOST`, `interface=REGEX,…`, `skip-interface=REGEX,…`, `cidr=CIDR,…` or `kubernetes-internal-ip`; default `first-found`",
  ),
  IP6_AUTODETECTION_METHOD: method.describe("the same for IPv6"),
  AUTODETECT_POLL_INTERVAL: duration.describe(
    "how often addresses are detected again, such as `90s` or `5m`; 0: only when an interface changes; default 60s",
  ),
  AS: asNumber.describe(
    "this node's AS number for BGP, which is recorded in its Node; default: what the Node has, else that of the BGPConfiguration",
  ),
  DISABLE_NODE_IP_CHECK: yesOrNo.describe("do not look whether another Node has the address; default false"),
  CLUSTER_TYPE: text.describe(
    "words that ClusterInformation is to have for the kind of cluster, separated by commas: `k8s`",
  ),
  WAIT_FOR_DATASTORE: yesOrNo.describe("wait for the datastore at start, instead of failing; default false"),
};

const cni = {
  CALICO_MANAGE_CNI: yesOrNo.describe(
    "keep a kubeconfig for plugins of other projects that ask the API server themselves; Tortie's need none; default false",
  ),
  CALICO_CNI_SERVICE_ACCOUNT: text.describe(
    "the account whose token it has, in the namespace of the agent's pod, else kube-system; default calico-cni-plugin",
  ),
  CNI_TOKEN_REFRESH_INTERVAL: duration.describe("how often the token is renewed; default: each quarter of its time"),
  TORTIE_CNI_KUBECONFIG: path.describe("the file; default /etc/cni/net.d/calico-kubeconfig"),
};

const pools = {
  NO_DEFAULT_POOLS: yesOrNo.describe("make no pools; default false: one of each family that has none"),
  CALICO_IPV4POOL_CIDR: poolCidr(4).describe(
    "CIDR of the IPv4 pool, or `none`; default 192.168.0.0/16, or a part of 172.16.0.0/12 where the node is in that",
  ),
  CALICO_IPV4POOL_BLOCK_SIZE: numberBetween(20, 32).describe("length of its blocks' prefixes; default 26"),
  CALICO_IPV4POOL_IPIP: encapsulation.describe("`Never`, `CrossSubnet` or `Always`; default `Never`"),
  CALICO_IPV4POOL_VXLAN: encapsulation.describe("`Never`, `CrossSubnet` or `Always`; default `Never`"),
  CALICO_IPV4POOL_NAT_OUTGOING: yesOrNo.describe(
    "whether packets out of the pools leave with the node's address; default true",
  ),
  CALICO_IPV4POOL_NODE_SELECTOR: selector.describe("the nodes that take blocks of it; default `all()`"),
  CALICO_IPV4POOL_DISABLE_BGP_EXPORT: yesOrNo.describe("whether BGP does not announce it; default false"),
  CALICO_IPV6POOL_CIDR: poolCidr(6).describe("CIDR of the IPv6 pool, or `none`; default a random /48 of fd00::/8"),
  CALICO_IPV6POOL_BLOCK_SIZE: numberBetween(116, 128).describe("length of its blocks' prefixes; default 122"),
  CALICO_IPV6POOL_VXLAN: encapsulation.describe("as for IPv4"),
  CALICO_IPV6POOL_NAT_OUTGOING: yesOrNo.describe("as for IPv4; default false"),
  CALICO_IPV6POOL_NODE_SELECTOR: selector.describe("as for IPv4"),
  CALICO_IPV6POOL_DISABLE_BGP_EXPORT: yesOrNo.describe("as for IPv4"),
  FELIX_IPV6SUPPORT: yesOrNo.describe("false: make no IPv6 pool and no routes of IPv6; default true"),
};

const network = {
  CALICO_NETWORKING_BACKEND: backend.describe(
    "`vxlan` or `bird`: make the routes to other nodes' pods, with `bird` and BIRD makes those of pools without encapsulation; `none`: record no address of the node either; default: make no routes",
  ),
  FELIX_VXLANMTU: mtu.describe("MTU of vxlan.calico, at most the uplink's less 50, which is the default"),
  FELIX_VXLANMTUV6: mtu.describe("MTU of vxlan-v6.calico, at most the uplink's less 70, which is the default"),
  FELIX_VXLANVNI: numberBetween(1, 16_777_215).describe("VXLAN's network identifier; default 4096"),
  FELIX_VXLANPORT: port.describe("its UDP port; default 4789"),
  FELIX_FEATUREDETECTOVERRIDE: text.describe(
    "`ChecksumOffloadBroken=true`: VXLAN devices promise no checksums, for kernels and network cards that lose packets otherwise",
  ),
  FELIX_IPINIPMTU: mtu.describe("MTU of tunl0, at most the uplink's less 20, which is the default"),
  FELIX_PROGRAMCLUSTERROUTES: clusterRoutes.describe(
    "`Enabled`: make the routes of pools without encapsulation too; default with `vxlan`. `EnabledIPIPOnly` or `Disabled`: leave them to BGP; default with `bird`",
  ),
  FELIX_NATOUTGOINGEXCLUSIONS: natExclusions.describe(
    "where pods of pools with natOutgoing keep their addresses: `IPPoolsOnly`, the default, or `IPPoolsAndHostIPs`: at the nodes too",
  ),
  FELIX_NATPORTRANGE: ports.describe("source ports of their TCP and UDP, such as `32768:65000`; default: any"),
  FELIX_NATOUTGOINGADDRESS: address.describe("address by which they leave; default: the node's"),
  FELIX_IPTABLESNATOUTGOINGINTERFACEFILTER: outInterface.describe(
    "interface by which packets leave that are translated; `eth+`: all whose names begin so; default: any",
  ),
  FELIX_FLOATINGIPS: enabled.describe("`Enabled`: lead floating IPs to their pods; default `Disabled`"),
  FELIX_WORKLOADSOURCESPOOFING: spoofing.describe(
    "`Any`: pods may send from the networks of their annotation `allowedSourcePrefixes`; default `Disabled`: from their addresses alone",
  ),
  FELIX_ENDPOINTSTATUSPATHPREFIX: path.describe(
    "directory in whose `endpoint-status` each pod has a file while its interface and routes are in place, for programs that wait for that; Calico's is /var/run/calico; default: none",
  ),
  FELIX_ROUTEREFRESHINTERVAL: numberBetween(0, 86_400, "seconds").describe(
    "how often everything is compared with the kernel, in seconds; 0: only what changes; default 90",
  ),
  CALICO_ROUTER_ID: routerId.describe(
    "BGP's router ID; `hash`: a digest of the node's name; default: the node's IPv4 address, or without one a digest",
  ),
  TORTIE_BIRD: text.describe(
    "the program of BIRD 2 or 3, which the agent runs with `bird`; default bird, searched in PATH",
  ),
  TORTIE_BIRD_DIRECTORY: path.describe("for its configuration and its control socket; default /run/tortie/bird"),
  TORTIE_SECRETS: path.describe(
    "for passwords of BGP: the key K of the secret S is the file S/K below it; default /etc/tortie/secrets",
  ),
  TORTIE_NET: path.describe("the program that changes the kernel; default /usr/local/lib/tortie/tortie-net"),
};

const process = {
  FELIX_HEALTHENABLED: yesOrNo.describe("answer `/liveness` and `/readiness`; default false"),
  FELIX_HEALTHHOST: text.describe("address to answer them on; default localhost"),
  FELIX_HEALTHPORT: port.describe("its port; default 9099"),
  FELIX_PROMETHEUSMETRICSENABLED: yesOrNo.describe("answer `/metrics`; default false"),
  FELIX_PROMETHEUSMETRICSHOST: text.describe("address to answer it on; default every address"),
  FELIX_PROMETHEUSMETRICSPORT: port.describe("its port; default 9091"),
  TORTIE_NODE_SOCKET: path.describe("socket that plugins ask; default /run/tortie/node.sock"),
  TORTIE_LEAK_GRACE_PERIOD: numberBetween(0, 86_400, "seconds").describe(
    "how long an address must look like a leak before it is released, in seconds, the same on all nodes; 0: only addresses of nodes that are gone are; default 900",
  ),
  TORTIE_NODENAME_FROM_REQUEST: yesOrNo.describe(
    "serve every node that a request names, and record none: one agent that plays many, for tests; default false",
  ),
  FELIX_LOGSEVERITYSCREEN: logLevel.describe("`debug`, `info`, `warning`, `error` or `fatal`; default info"),
};

/** In the order of the documents. */
const shape = { ...datastoreShape, ...node, ...cni, ...pools, ...network, ...process };

/** All settings. */
export const settingsSchema = z.object(shape).partial();

export type Settings = z.output<typeof settingsSchema>;

/** In the order of the documents. */
export function describeSettings(): readonly { readonly name: string; readonly meaning: string }[] {
  const types: Readonly<Record<string, z.ZodType>> = shape;
  return Object.entries(types).map(([name, { description = "" }]) => ({ name, meaning: description }));
}
