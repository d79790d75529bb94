/** The agents of a fabric's nodes, each with `tortie-net` in the network of its node. */
import { dirname, join } from "node:path";
import { ourPluginDir } from "../suite.ts";
import { Agent } from "./agent.ts";
import type { FabricNode } from "./fabric.ts";

export class FabricAgents {
  readonly #agents = new Map<string, Agent>();

  /** The agent of a node. */
  of(name: string): Agent {
    const found = this.#agents.get(name);
    if (found === undefined) throw new Error(`node ${name} has no agent`);
    return found;
  }

  /** Starts the node's agent, in place of one that ended, and waits until it says the line. `settings`: also those of the datastore. */
  async begin({ name, node }: FabricNode, settings: Readonly<Record<string, string>>, line: string): Promise<void> {
    const environment = {
      NODENAME: name,
      TORTIE_NET: process.env.TORTIE_NET ?? join(dirname(ourPluginDir), "tortie-net"),
      ...settings,
    };
    const agent = await Agent.start(node, environment, { hasNetwork: true });
    this.#agents.set(name, agent);
    await agent.says(line);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.stop()));
  }
}
