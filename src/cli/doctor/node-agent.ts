/** The node agent and what it knows, for attachments and networks whose datastore is a cluster's. */

import type { Pool } from "../../ipam/model/pool.ts";
import { type OutgoingMessage, spoolDirectory } from "../../node-protocol/messages.ts";
import { spoolFiles } from "../../node-protocol/spool.ts";
import { natOutgoing } from "../../plan/nat-outgoing.ts";
import type { NftResource } from "../../plan/nft.ts";
import { ask, type ClusterNat, clusterNat, usesAgent } from "../../plugin/node-agent.ts";
import type { JsonObject } from "../../plugin/plugin.ts";
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import type { Finding, Note } from "./finding.ts";
import type { Network } from "./networks.ts";
import type { PartFile } from "./parts.ts";
import { plural } from "./plural.ts";

export type NatPool = Pick<Pool, "cidr" | "natOutgoing">;

export interface AgentFacts {
  /** The cluster's pools, and how packets leave them; `undefined` if the agent did not report them. */
  readonly nat: ClusterNat | undefined;
  /** Why the agent did not answer. */
  readonly fault: string | undefined;
  /** What the agent says is wrong with the routes to other nodes. */
  readonly troubles: readonly string[];
  /** Requests of plugins that wait for the agent. */
  readonly spooled: number;
}

/** For a node without attachments or networks of a cluster. */
export const noAgent: AgentFacts = {
  nat: { pools: [], outgoing: undefined },
  fault: undefined,
  troubles: [],
  spooled: 0,
};

const timeoutMs = 5000;

/** `networks`: a node whose pods were made by another suite has no parts yet. */
export function gatherAgent(cli: Cli, parts: readonly PartFile[], networks: readonly Network[]): AgentFacts {
  const spooled = spoolFiles(cli.sys).length;
  const documents: readonly JsonObject[] = [
    ...parts.flatMap(({ part }) => (part === undefined ? [] : [part.document as JsonObject])),
    ...networks.flatMap(({ plugins }) => plugins.map(({ document }) => document)),
  ];
  if (!documents.some((document) => usesAgent(document))) return { ...noAgent, spooled };
  try {
    const nat = clusterNat(ask(cli.sys, { op: "pools", nodename: cli.node }, timeoutMs));
    return { nat, fault: undefined, troubles: networkTroubles(cli), spooled };
  } catch (error) {
    return { nat: undefined, fault: messageOf(error), troubles: [], spooled };
  }
}

/** An agent of an earlier release does not know the question. */
function networkTroubles({ sys, node }: Cli): readonly string[] {
  try {
    return ask(sys, { op: "network", nodename: node }, timeoutMs).troubles ?? [];
  } catch {
    return [];
  }
}

/** What the NAT tables contain. */
export interface NatFacts {
  readonly pools: readonly NatPool[];
  readonly outgoing?: OutgoingMessage | undefined;
}

/** `undefined` if the cluster's pools are not known. */
export function natFacts(own: readonly NatPool[], { nat }: AgentFacts): NatFacts | undefined {
  return nat && { pools: [...own, ...nat.pools], outgoing: nat.outgoing };
}

/** The resources of the NAT tables. */
export function natResources({ pools, outgoing }: NatFacts, { guarded = false } = {}): readonly NftResource[] {
  return natOutgoing(
    pools.map(({ cidr, natOutgoing: nat }) => ({ cidr, nat })),
    { guarded, outgoing },
  );
}

export function checkAgent({ fault, troubles }: AgentFacts): readonly Finding[] {
  if (fault === undefined) return troubles.map(unrouted);
  return [
    {
      id: "agent-away",
      section: "attachments",
      severity: "error",
      subject: "node agent",
      text: `${fault}: no pod of the cluster can start on this node`,
      remedy: "# start tortie-node, and read what it logs: docs/agent.md",
    },
  ];
}

export function notesOfAgent({ spooled, nat }: AgentFacts): readonly Note[] {
  const waiting: Note = {
    section: "attachments",
    subject: "node agent",
    text: `${plural(spooled, "request")} of earlier DELs in ${spoolDirectory} not done yet`,
  };
  const unknown: Note = {
    section: "firewall",
    subject: "",
    text: "whether the NAT tables match the pools is not checked while the node agent does not tell the cluster's",
  };
  return [...(spooled > 0 ? [waiting] : []), ...(nat === undefined ? [unknown] : [])];
}

/** The sentence says what to do. */
function unrouted(text: string): Finding {
  return {
    id: "other-nodes",
    section: "attachments",
    severity: "error",
    subject: "other nodes",
    text,
    remedy: whereItLogs,
  };
}

const whereItLogs = "# the log of tortie-node says since when: docs/agent.md";
