/** What `npm run bench` measures: pods that both suites can serve, on an empty node or on one that already has a pod. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Conflist, type JsonObject, parseConflist } from "../../test/lib/conflist.ts";
import { root } from "../../test/lib/suite.ts";

export interface Scenario {
  readonly name: string;
  /** The capability arguments of the pod. */
  readonly capabilities: JsonObject;
  /**
   * The capability arguments of the pod that the node already has. Absent: it has none, so that each ADD is that of a node's first pod, and each DEL
   * that of its last.
   */
  readonly standing: JsonObject | undefined;
  /** Go's bandwidth crashes in CHECK of a pod without limits; Go's portmap with host ports looks for rules of the wrong family. */
  readonly canGoCheck: boolean;
  readonly isDual: boolean;
  readonly go: Conflist;
  readonly ours: Conflist;
}

const requests = {
  portMappings: [{ hostPort: "@hostPort@", containerPort: 80, protocol: "tcp" }],
  bandwidth: { ingressRate: 1e8, ingressBurst: 8e6, egressRate: 1e8, egressBurst: 8e6 },
};
const plain = { capabilities: {}, canGoCheck: false };
const limited = { capabilities: { bandwidth: requests.bandwidth }, canGoCheck: true };
const full = { capabilities: requests, canGoCheck: false };
/** The requests of the pod that stays, with a fixed host port instead of one chosen by the driver. */
const standingRequests = {
  ...requests,
  portMappings: [{ hostPort: 19_000, containerPort: 80, protocol: "tcp" }],
};

const v4 = { isDual: false, go: goList([["10.210.0.0/16", "0.0.0.0/0"]]), ours: ourList("10-calico.conflist") };
const dual = {
  isDual: true,
  go: goList([
    ["10.210.0.0/16", "0.0.0.0/0"],
    ["fd10:210::/64", "::/0"],
  ]),
  ours: ourList("10-calico-dual-stack.conflist"),
};

/**
 * Plain: an address. Limited: also rate limits. Full: also a host port. Only: the other pod of the node has no host port. Empty: the node has no other
 * pod. Ours masquerades here and Go's ptp does not: on an empty node the first pod creates the nf_tables objects and starts the kernel's connection
 * tracking.
 */
export const scenarios: readonly Scenario[] = [
  { name: "plain", ...plain, standing: standingRequests, ...v4 },
  { name: "limited", ...limited, standing: standingRequests, ...v4 },
  { name: "full", ...full, standing: standingRequests, ...v4 },
  { name: "plain-dual", ...plain, standing: standingRequests, ...dual },
  { name: "full-dual", ...full, standing: standingRequests, ...dual },
  { name: "full-only", ...full, standing: {}, ...v4 },
  { name: "plain-empty", ...plain, standing: undefined, ...v4 },
  { name: "full-empty", ...full, standing: undefined, ...v4 },
];

/** One subnet per family, with a default route each. */
function goList(subnets: readonly (readonly [subnet: string, route: string])[]): Conflist {
  const ranges = subnets.map(([subnet]) => [{ subnet }]);
  const routes = subnets.map(([, dst]) => ({ dst }));
  return parseConflist(
    JSON.stringify({
      name: "go-bench",
      cniVersion: "1.0.0",
      plugins: [
        { type: "ptp", ipam: { type: "host-local", ranges, routes } },
        { type: "bandwidth", capabilities: { bandwidth: true } },
        { type: "portmap", snat: true, capabilities: { portMappings: true } },
      ],
    }),
  );
}

function ourList(file: string): Conflist {
  return parseConflist(readFileSync(join(root, "conf-examples", file), "utf8"), { newest: "1.0.0" });
}
