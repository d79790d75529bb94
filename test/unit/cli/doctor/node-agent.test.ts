import { beforeEach, describe, expect, test } from "vitest";
import type { Cli } from "../../../../src/cli/cli.ts";
import type { Network } from "../../../../src/cli/doctor/networks.ts";
import { checkAgent, gatherAgent, natFacts, notesOfAgent } from "../../../../src/cli/doctor/node-agent.ts";
import type { PartFile } from "../../../../src/cli/doctor/parts.ts";
import { defaultSocket, spoolDirectory } from "../../../../src/node-protocol/messages.ts";
import { FakeMachine, FakeSys } from "../../../lib/fake/sys.ts";

const attachment = { network: "net", containerId: "c", ifname: "eth0" };
const own = { cidr: "10.0.0.0/24", natOutgoing: true };

function partOf(document: Readonly<Record<string, unknown>>): PartFile {
  const part = { type: "calico", attachment, netns: "/run/netns/a", origin: undefined, args: "", document };
  return { path: "p", ageSeconds: 90, attachment, part, fault: undefined };
}

let machine: FakeMachine;

beforeEach(() => {
  machine = new FakeMachine();
});

const cli = () => ({ sys: new FakeSys({ machine }), node: "n1" }) as unknown as Cli;
const ofCluster = [partOf({ datastore_type: "kubernetes" })];

describe("the doctor of a node in a cluster", () => {
  test("asks the agent too where the network is a cluster's and no pod is ours yet", () => {
    const pool = { name: "p", cidr: "10.244.0.0/16", natOutgoing: true, disabled: false };
    machine.servers.set(defaultSocket, () => JSON.stringify({ version: 1, result: { pools: [pool] } }));
    const document = { type: "calico", datastore_type: "kubernetes" };
    const network = { path: "/etc/cni/net.d/10-calico.conflist", name: "net", plugins: [{ type: "calico", document }] };
    expect(gatherAgent(cli(), [], [network as unknown as Network]).nat?.pools).toMatchObject([{ cidr: pool.cidr }]);
  });

  test("asks the agent for the pools that the NAT tables must contain", () => {
    const pool = { name: "p", cidr: "10.244.0.0/16", natOutgoing: true, disabled: false };
    const questions: unknown[] = [];
    machine.servers.set(defaultSocket, (request) => {
      questions.push(JSON.parse(request));
      return JSON.stringify({ version: 1, result: { pools: [pool] } });
    });
    const facts = gatherAgent(cli(), ofCluster, []);
    const common = { version: 1, deadlineMs: expect.any(Number), nodename: "n1" };
    expect(questions).toEqual([
      { ...common, op: "pools" },
      { ...common, op: "network" },
    ]);
    expect(natFacts([own], facts)).toEqual({ pools: [own, { ...pool, family: 4 }], outgoing: undefined });
    expect([checkAgent(facts), notesOfAgent(facts)]).toEqual([[], []]);
  });

  test("reports what the agent says of the routes to other nodes", () => {
    const trouble = 'cannot change the node\'s routes: "/usr/local/lib/tortie/tortie-net serve" cannot be started';
    machine.servers.set(defaultSocket, (request) =>
      JSON.stringify(
        request.includes('"network"')
          ? { version: 1, result: { troubles: [trouble] } }
          : { version: 1, result: { pools: [] } },
      ),
    );
    expect(checkAgent(gatherAgent(cli(), ofCluster, []))).toMatchObject([{ id: "other-nodes", text: trouble }]);
  });

  test("of an agent that does not know that question it reports nothing", () => {
    machine.servers.set(defaultSocket, (request) =>
      JSON.stringify(
        request.includes('"network"')
          ? { version: 1, error: { kind: "invalid", name: "BadMessage", message: "op" } }
          : { version: 1, result: { pools: [] } },
      ),
    );
    expect(checkAgent(gatherAgent(cli(), ofCluster, []))).toEqual([]);
  });

  test("reports an agent that does not answer, and that the tables are not checked", () => {
    const facts = gatherAgent(cli(), ofCluster, []);
    expect(natFacts([own], facts)).toBeUndefined();
    expect(checkAgent(facts)).toMatchObject([
      { id: "agent-away", severity: "error", text: expect.stringContaining("tortie-node is not running") },
    ]);
    expect(notesOfAgent(facts)).toMatchObject([
      { section: "firewall", text: expect.stringContaining("is not checked") },
    ]);
  });

  test("does not ask where no attachment is a cluster's, and counts what waits in the spool", () => {
    const { sys } = cli();
    sys.makeDirs(spoolDirectory, 0o700);
    sys.createFile(`${spoolDirectory}/net:c:eth0:release.json`, "{}", 0o600);
    sys.createFile(`${spoolDirectory}/net:d:eth0:release.json.refused`, "{}", 0o600);
    const facts = gatherAgent(cli(), [partOf({})], []);
    expect(natFacts([own], facts)).toEqual({ pools: [own], outgoing: undefined });
    expect(checkAgent(facts)).toEqual([]);
    expect(notesOfAgent(facts)).toMatchObject([{ text: expect.stringMatching(/^1 request of earlier DELs/) }]);
  });
});
