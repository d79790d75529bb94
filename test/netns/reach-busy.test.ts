/**
 * `tortie doctor` on nodes that are shared with other software whose rules let pods through: the pods work, as the test proves, and there is no
 * finding.
 */
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { busyNodes } from "../lib/node/busy-nodes.ts";
import { doctor } from "../lib/node/doctor.ts";
import { Node, outsideAddress4, outsideAddress6 } from "../lib/node/netns.ts";
import { ask, serve } from "../lib/node/traffic.ts";
import { addressOf, Runner } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

const conflist = example("10-calico-dual-stack.conflist");
const list = loadConflist(conflist);
let node: Node;
let addresses: readonly string[];

beforeAll(requireBuild);

beforeEach(async () => {
  node = await Node.start();
  const runner = new Runner({ node, pluginDirs });
  addresses = ["a", "b"].flatMap((name) => {
    const result = runner.add(list, { containerId: `${name}-0a1b2c`, netns: node.addPod(name), ifname: "eth0" });
    return [addressOf(result), ...(result.ips ?? []).map(({ address }) => address.replace(/\/\d+$/, "")).slice(1)];
  });
  serve(node, "outside", 5555);
  serve(node, "b", 80);
});

afterEach(async () => {
  await node?.stop();
});

test.each(busyNodes.map((one) => [one.name, one] as const))(
  "%s: pods work, and nothing is said",
  async (_, { script, needsProbe }) => {
    node.sh(script);
    await setImmediate();
    const [, , b4 = "", b6 = ""] = addresses;
    expect(ask(node, "a", outsideAddress4, 5555)).toContain("outside");
    expect(ask(node, "a", outsideAddress6, 5555)).toContain("outside");
    expect(ask(node, "a", b4, 80)).toContain("b");
    expect(ask(node, "a", b6, 80)).toContain("b");
    expect(ask(node, undefined, b4, 80)).toContain("b");
    for (const probe of needsProbe ? [true] : [true, false]) {
      expect(doctor(node, { conflist, probe }), `with probe ${probe}`).toMatchObject({
        exitCode: 0,
        findings: [],
        notes: [],
      });
    }
  },
);
