/**
 * A node whose pod has addresses, with one corrupted file in the store. Every command has one answer, which is not that of a bug.
 */
import { decodeUtf8 } from "../../../src/net/text.ts";
import { FakeNode } from "../../lib/fake/node.ts";
import { Input } from "../input.ts";
import { checkAnswer } from "../judge.ts";

const conf = { ipam: { type: "calico-ipam", assign_ipv6: "true" } };
const prevResult = { cniVersion: "1.1.0", ips: [{ address: "192.168.0.1/32" }] };
const calls = [
  ["ADD", "c2", {}],
  ["CHECK", "c1", { prevResult }],
  ["STATUS", "", {}],
  ["DEL", "c1", {}],
  ["GC", "", { "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }] }],
  ["DEL", "c2", {}],
] as const;

/** The content of the store after the first ADD, by path; created once. */
let stored: ReadonlyMap<string, string> | undefined;

export function main(bytes: Uint8Array): void {
  const input = new Input(bytes);
  stored ??= storeAfterAdd();
  const node = new FakeNode();
  for (const name of ["c1", "c2"]) node.sandbox(name);
  for (const [path, text] of spoilt(stored, input)) {
    node.machine.files.makeDirs(path.slice(0, path.lastIndexOf("/")), 0o700);
    node.machine.files.create(path, text, 0o600);
  }
  const first = input.byte();
  for (const which of [first % 16, first >> 4]) {
    const [command, container, more] = calls[which % calls.length] ?? calls[0];
    const environment = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: container,
      CNI_NETNS: `/var/run/netns/${container}`,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
    };
    const document = { cniVersion: "1.1.0", name: "net1", type: "calico", ...conf, ...more };
    const sys = node.process(environment, JSON.stringify(document));
    checkAnswer(node.exec("calico-ipam", sys), sys.stdout);
  }
}

function storeAfterAdd(): ReadonlyMap<string, string> {
  const node = new FakeNode();
  node.sandbox("c1");
  node.run("ADD", { plugin: "calico-ipam", container: "c1", conf });
  const { files } = node.machine;
  const paths = files.paths().filter((path) => /^\/(run|var\/lib)\/tortie\/.*\.json$/.test(path));
  return new Map(paths.map((path) => [path, files.read(path)]));
}

/** Replaces one file, or a piece of it, by other text. */
function spoilt(files: ReadonlyMap<string, string>, input: Input): ReadonlyMap<string, string> {
  const path = input.pick([...files.keys()]);
  const old = files.get(path) ?? "";
  const whole = input.byte() % 2 === 0;
  const start = input.half() % (old.length + 1);
  const length = input.byte();
  const text = decodeUtf8(input.take(input.half()));
  return new Map([...files, [path, whole ? text : old.slice(0, start) + text + old.slice(start + length)]]);
}
