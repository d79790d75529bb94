/** `tortie plan`: prints the `ip`, `sysctl`, `tc`, `nft` and `iptables` commands that are equivalent to an ADD. Runs none of them. */

import type { AddressFacts } from "../../../plugins/calico-ipam/plan.ts";
import { canonicalAddress } from "../../net/address.ts";
import { canonicalPrefix, hostPrefix } from "../../net/prefix.ts";
import { isObject } from "../../schema/schema.ts";
import type { Cli } from "../cli.ts";
import { type Accepted, command } from "../definition.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { networkIn } from "../lint/validate.ts";
import { ipRoutes } from "../node/iproute.ts";
import { gatherNodeNetworks } from "../node/networks.ts";
import { overlaySys } from "../node/overlay-sys.ts";
import { readInputs } from "../resources/input-files.ts";
import { planChain } from "./chain.ts";
import { podOf } from "./pod.ts";
import { formats, renderPlans } from "./render.ts";

const positionals = { conflist: { type: "string", describe: "a network configuration", required: true } } as const;

const options = {
  pod: { type: "string", default: "default/web-0", describe: "the pod, NAME or NAMESPACE/NAME" },
  container: { type: "string", describe: "its container ID; default: the pod's name" },
  ifname: { type: "string", default: "eth0", describe: "the name of its interface" },
  address: { type: "strings", describe: "an address of the pod; default: the next one to be assigned" },
  port: { type: "strings", describe: "a host port: [HOST-ADDRESS:]HOST-PORT:CONTAINER-PORT[/PROTOCOL]" },
  rate: { type: "string", describe: 'rate limit in bits per second, "10M", or "10M:5M" to and from the pod' },
  output: {
    type: "string",
    alias: "o",
    choices: formats,
    default: "text",
    describe: "commands, a script, or the plan",
  },
} as const;

export const planCommand = command({
  path: "plan",
  describe: "Show an ADD as commands",
  long:
    "Prints the commands of ip, sysctl, tc, nft and iptables that do the same as an ADD of each plugin of a network configuration. " +
    "Changes nothing, assigns no address, and runs none of the commands: the plugins themselves use netlink. " +
    "Includes objects that the node already has, and ignores what only the kernel knows, such as host ports in use.",
  examples: [
    ["$0 plan /etc/cni/net.d/10-calico.conflist", "for any pod"],
    ["$0 plan x.conflist --pod shop/web-1 --port 8080:80 --rate 10M", "with a host port and limits"],
    ["$0 plan x.conflist -o sh | CNI_NETNS=/run/netns/test sh", "create the same state with a shell"],
    ["$0 plan x.conflist -o json | jq '.[].plan.resources[].kind'", "for programs"],
  ],
  positionals,
  options,
  hides: ["config"],
  action: showPlan,
});

async function showPlan(cli: Cli, given: Accepted<typeof positionals, typeof options>): Promise<ExitStatus> {
  const [input] = await readInputs(cli, [given.conflist], { recursive: false, withNetworks: true });
  if (input === undefined) throw new CliError(`cannot plan: ${given.conflist} holds nothing`);
  const network = networkIn(input);
  if (network === undefined) throw new CliError(`cannot plan ${input.source}: it is not a network configuration`);
  if ("fault" in network) throw new CliError(`cannot plan ${input.source}: ${network.fault}`);
  const list = network.document;
  if (!isObject(list)) throw new CliError(`cannot plan ${input.source}: it is not an object`);
  const pod = podOf(given);
  const facts = { sys: overlaySys(cli.sys), ...(await gatherRouting(cli)) };
  const { container: containerId = pod.name, ifname } = given;
  const plans = planChain(list, { pod, containerId, ifname, facts });
  cli.out(renderPlans(plans, given.output));
  return exitStatus.done;
}

async function gatherRouting(cli: Cli): Promise<Omit<AddressFacts, "sys">> {
  const [networks, ...routes] = await Promise.all([
    gatherNodeNetworks(cli),
    cli.program(["ip", "-j", "-4", "route", "show"]),
    cli.program(["ip", "-j", "-6", "route", "show"]),
  ]);
  const destinations = routes.flatMap(ipRoutes).flatMap(({ dst }) => {
    const address = canonicalAddress(dst);
    return canonicalPrefix(address === undefined ? dst : hostPrefix(address)) ?? [];
  });
  return { networks, routes: destinations };
}
