/** What the host ports of an attachment make, in the back end of the configuration. */
import { ownerOf } from "../../src/identity/attachment.ts";
import type { Resource } from "../../src/plan/resource.ts";
import { chained } from "../../src/plugin/chained.ts";
import type { PlanAdd } from "../../src/plugin/planned.ts";
import type { PortmapConf } from "./conf.ts";
import { addLines } from "./iptables.ts";
import { rulesOf } from "./iptables-rules.ts";
import { mappedPorts } from "./mapped.ts";
import { hostInterfaces, type Target, targetsOf } from "./target.ts";

export const planAdd: PlanAdd<PortmapConf> = ({ attachment, conf, prevResult }) => {
  const result = chained("portmap", prevResult);
  const owner = ownerOf(attachment);
  const targets = conf.mappings.length === 0 ? [] : targetsOf(result, attachment.ifname);
  const [hostInterface] = hostInterfaces(result);
  const isReached = conf.snat && hostInterface !== undefined && targets.some(({ family }) => family === "ip");
  const path = `net/ipv4/conf/${hostInterface}/route_localnet`;
  const localnet: readonly Resource[] = isReached ? [{ kind: "sysctl", at: "host", path, value: "1" }] : [];
  const inNft = conf.backend === "nftables";
  return {
    plan: { owner, resources: [...localnet, ...(inNft ? mappedPorts(conf, targets) : [])] },
    result,
    commands: inNft
      ? []
      : targets.flatMap((target) =>
          restoreCommand(target, addLines(rulesOf(attachment, conf, target), { nat: [], raw: [] }, [])),
        ),
  };
};

const restore = { ip: "iptables-restore", ip6: "ip6tables-restore" } as const;

function restoreCommand({ family }: Target, lines: readonly string[]): readonly string[] {
  return [[`${restore[family]} --noflush <<'END'`, ...lines, "END"].join("\n")];
}
