/** Plans the limits of an attachment for `tortie plan`, on the host interface that the main plugin plans. */
import { CniError, code } from "../../src/cni/error.ts";
import { ownerOf } from "../../src/identity/attachment.ts";
import { chained } from "../../src/plugin/chained.ts";
import type { PlanAdd } from "../../src/plugin/planned.ts";
import type { BandwidthConf } from "./conf.ts";
import { ifbName, planShaping } from "./shaping.ts";

/** The kernel's default for a veth pair (net/ethernet/eth.c, ether_setup). */
const defaultMtu = 1500;

export const planAdd: PlanAdd<BandwidthConf> = ({ attachment, conf, prevResult }) => {
  const passed = chained("bandwidth", prevResult);
  const owner = ownerOf(attachment);
  if (conf.ingress === undefined && conf.egress === undefined)
    return { plan: { owner, resources: [] }, result: passed };
  const interfaces = passed.interfaces ?? [];
  const hostInterface = interfaces.find(({ sandbox }) => !sandbox)?.name;
  if (hostInterface === undefined) {
    throw new CniError(
      code.refused,
      `cannot limit interface "${attachment.ifname}": prevResult names no host interface`,
    );
  }
  const mtu = interfaces.find(({ name, sandbox }) => name === attachment.ifname && sandbox)?.mtu || defaultMtu;
  const ifb = ifbName(attachment);
  return {
    plan: { owner, resources: planShaping(conf, { hostInterface, mtu, ifb }) },
    result: conf.egress === undefined ? passed : { ...passed, interfaces: [...interfaces, { name: ifb }] },
  };
};
