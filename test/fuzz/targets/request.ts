/**
 * Whole requests on the model of a node: the fuzzer supplies environment and standard input. There is one answer; a failed ADD, and an ADD
 * followed by DEL, leave the node unchanged.
 */

import { descriptors } from "#plugins/descriptors";
import { decodeUtf8 } from "../../../src/net/text.ts";
import { FakeNode } from "../../lib/fake/node.ts";
import { Input } from "../input.ts";
import { checkAnswer, Finding, requireSame } from "../judge.ts";

const plugins = descriptors.filter(({ traces }) => traces.outlive).map(({ name }) => name);
const commands = ["ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION", "add"] as const;
const sandboxes = ["/var/run/netns/c1", "", "/var/run/netns/none", "/etc", "/proc/self/ns/net"] as const;

export function main(bytes: Uint8Array): void {
  const input = new Input(bytes);
  const plugin = input.pick(plugins);
  const command = input.pick(commands);
  const environment = {
    CNI_COMMAND: command,
    CNI_NETNS: input.pick(sandboxes),
    CNI_PATH: "/opt/cni/bin",
    CNI_CONTAINERID: textOr(input, "c1"),
    CNI_IFNAME: textOr(input, "eth0"),
    CNI_ARGS: decodeUtf8(input.piece()),
  };
  const stdin = input.text();
  const node = new FakeNode();
  node.sandbox("c1");
  const before = node.state();
  const run = (name: string) => {
    const sys = node.process({ ...environment, CNI_COMMAND: name }, stdin);
    const status = node.exec(plugin, sys);
    checkAnswer(status, sys.stdout);
    return status;
  };
  const status = run(command);
  if (command !== "ADD") return;
  if (status === 0 && run("DEL") !== 0) throw new Finding("DEL refuses what ADD took");
  requireSame("the state", node.state().split("\n"), before.split("\n"));
}

function textOr(input: Input, usual: string): string {
  const piece = input.piece();
  return piece.length === 0 ? usual : decodeUtf8(piece);
}
