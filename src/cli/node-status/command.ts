/** `tortie node status`: the node agent and its BGP sessions, in calicoctl's tables, and what the cluster's datastore knows of the node. */
import type { BgpSessionMessage, NodeStatusMessage } from "../../node-protocol/messages.ts";
import { ask } from "../../plugin/node-agent.ts";
import type { Cli } from "../cli.ts";
import type { Cluster } from "../cluster.ts";
import { type Accepted, command } from "../definition.ts";
import { CliError, type ExitStatus, exitStatus, messageOf } from "../error.ts";
import { type Format, formatDocument } from "../resources/document-text.ts";
import { renderBoxed } from "../ui/table.ts";
import { clusterStatus, clusterText, isWell } from "./cluster-status.ts";

const options = {
  output: {
    type: "string",
    alias: "o",
    choices: ["wide", "yaml", "json"],
    default: "wide",
    describe: "tables, or everything",
  },
} as const;

export const nodeStatusCommand = command({
  path: "node status",
  describe: "Show whether the node agent is ready, its BGP sessions, and what the cluster knows of this node",
  long:
    "Asks the tortie-node of this node by its socket. Exits with 1 if it does not answer, and with 3 if it is not ready. " +
    "The state of a session is BIRD's; BGP works if the last column says Established. With the settings of a cluster's datastore it asks that too: " +
    "whether it may be written to, and this node's addresses and blocks.",
  examples: [
    ["$0 node status", "the agent, and a table per address family"],
    ["$0 node status -o json | jq -r '.bgp[] | select(.info != \"Established\").peer'", "neighbours without a session"],
  ],
  options,
  action: showStatus,
});

const timeoutMs = 5000;

async function showStatus(cli: Cli, { output }: Accepted<object, typeof options>): Promise<ExitStatus> {
  if (cli.cluster !== undefined) return await showBoth(cli, cli.cluster, output);
  const node = askAgent(cli);
  cli.out(output === "wide" ? statusText(node) : formatDocument(node, output));
  return node.notReady.length === 0 ? exitStatus.done : exitStatus.problems;
}

function askAgent(cli: Cli): NodeStatusMessage {
  const { node } = ask(cli.sys, { op: "node", nodename: cli.node }, timeoutMs);
  if (node === undefined) throw new CliError("cannot show the node's status: its tortie-node is of an older release");
  return node;
}

/** Of the agent and the datastore, one may not answer. */
async function showBoth(cli: Cli, cluster: Cluster, output: "wide" | Format): Promise<ExitStatus> {
  const known = await clusterStatus(cli, cluster);
  let agent: NodeStatusMessage | undefined;
  try {
    agent = askAgent(cli);
  } catch (error) {
    cli.note(`tortie: ${messageOf(error)}`);
  }
  const text = agent === undefined ? "" : `${statusText(agent)}\n`;
  if (output === "wide") cli.out(text + clusterText(cli.node, known));
  else cli.out(formatDocument({ ...agent, cluster: known }, output));
  if (agent === undefined) return exitStatus.failed;
  return agent.notReady.length === 0 && isWell(known) ? exitStatus.done : exitStatus.problems;
}

const datastores = { etcdv3: "etcd", kubernetes: "Kubernetes" } as const;
const networkings = {
  none: "The agent makes no routes to other nodes.",
  vxlan: "The agent makes the routes to other nodes.",
  bird: "The agent and BIRD make the routes to other nodes.",
} as const;

function statusText({ nodename, datastore, notReady, networking, bgp }: NodeStatusMessage): string {
  const state = notReady.length === 0 ? "is ready" : "is not ready";
  const head = [
    `tortie-node of node "${nodename}" ${state}. Its datastore is ${datastores[datastore]}.`,
    ...notReady.map((reason) => `  ${reason}`),
    networkings[networking],
    "It enforces no network policy.",
  ];
  const tables = bgp === undefined ? [] : [familyText(4, bgp), familyText(6, bgp)];
  return `${[head.join("\n"), ...tables].join("\n\n")}\n`;
}

function familyText(family: 4 | 6, sessions: readonly BgpSessionMessage[]): string {
  const rows = sessions.filter((session) => session.family === family);
  const titles = ["PEER ADDRESS", "PEER TYPE", "STATE", "SINCE", "INFO"];
  const body =
    rows.length === 0
      ? `No IPv${family} peers found.`
      : renderBoxed({
          columns: titles.map((title) => ({ title })),
          rows: rows.map(({ peer, type, state, since, info }) => [peer, type, state, since, info]),
        }).trimEnd();
  return `IPv${family} BGP status\n${body}`;
}
