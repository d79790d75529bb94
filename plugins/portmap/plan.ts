/** Plans the host ports of an attachment in the configured back end, for `tortie plan`. */
import { ownerOf } from "../../src/identity/attachment.ts";
import { chained } from "../../src/plugin/chained.ts";
import type { PlanAdd } from "../../src/plugin/planned.ts";
import type { PortmapConf } from "./conf.ts";
import { iptables } from "./iptables.ts";
import { planLocalnet } from "./localnet.ts";
import { nftables } from "./nftables.ts";
import { hostInterfaces, targetsOf } from "./target.ts";

export const planAdd: PlanAdd<PortmapConf> = ({ attachment, conf, prevResult }) => {
  const result = chained("portmap", prevResult);
  const targets = conf.mappings.length === 0 ? [] : targetsOf(result, attachment.ifname);
  const { plan } = conf.backend === "nftables" ? nftables : iptables;
  const [hostInterface] = hostInterfaces(result);
  const localnet = conf.snat ? planLocalnet(targets, () => hostInterface) : [];
  const resources = [...plan({ attachment, conf, targets }), ...localnet];
  return { plan: { owner: ownerOf(attachment), resources }, result };
};
