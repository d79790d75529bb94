/** The fuzzers' seeds: the requests of `conf-examples`, the files of a store, and all answers of the kernel's model. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { decoders } from "../../test/fuzz/targets/netlink.ts";
import { FakeNode } from "../../test/lib/fake/node.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const encoder = new TextEncoder();

/** Seeds by target. */
export function seeds(): Readonly<Record<string, readonly Uint8Array[]>> {
  const documents = exampleRequests();
  const { files, answers } = recorded();
  return {
    document: documents.flatMap((text) => [joined([0, 6, 6], text), joined([2, 5, 1], text)]),
    request: documents.flatMap((text) => [0, 1, 2, 3].map((plugin) => joined([plugin, 0, 0, 0, 0, 0], text))),
    json: files.map((text) => encoder.encode(text)),
    store: files.flatMap((text, index) => [joined([index, 0, 0, 0, 0, ...half(text.length)], text)]),
    netlink: answers.flatMap((answer) => decoders.map((_, index) => Uint8Array.of(index, ...answer))),
    kernel: [[], [0, 0, 1, 4, 30], [3, 5, 0, 7, 5, 1, 6, 9, 2]].map((bytes) => Uint8Array.from(bytes)),
    text: texts.flatMap((text) => [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((reader) => joined([reader], text))),
    native: Array.from({ length: 24 }, (_, index) => Uint8Array.of(index, 3, 65, 66, 67, 1, 2, 0, 1)),
    heap: [Uint8Array.from({ length: 90 }, (_, index) => (index * 37) % 251)],
  };
}

export function writeSeeds(directory: string): void {
  for (const [target, inputs] of Object.entries(seeds())) {
    mkdirSync(join(directory, target), { recursive: true });
    for (const [index, input] of inputs.entries()) writeFileSync(join(directory, target, `seed-${index}`), input);
  }
}

const texts = [
  "192.168.0.1",
  "fd00:10:65::1/64",
  "ee:ee:ee:ee:ee:ee",
  "::ffff:1.2.3.4",
  'has(a) && k8s.io/name in {"x", \'y\'} || !(b starts with "z")',
  "IgnoreUnknown=1;K8S_POD_NAME=a;K8S_POD_NAMESPACE=b",
  "net1 0123456789abcdef eth0",
  '*nat\n:CNI-DN-x - [0:0]\n-A PREROUTING -m comment --comment "a b" -j CNI-HOSTPORT-DNAT\nCOMMIT\n',
  "ip saddr != 10.0.0.0/8 tcp dport 1000-2000 meta mark 0x10",
  "! -s 10.0.0.0/8",
];

function exampleRequests(): readonly string[] {
  const directory = join(root, "conf-examples");
  return readdirSync(directory)
    .filter((file) => file.endsWith(".conflist"))
    .flatMap((file) => {
      const { cniVersion, name, plugins } = JSON.parse(readFileSync(join(directory, file), "utf8")) as {
        readonly cniVersion: string;
        readonly name: string;
        readonly plugins: readonly object[];
      };
      const prevResult = {
        interfaces: [{ name: "eth0", sandbox: "/var/run/netns/c1" }],
        ips: [{ address: "10.0.0.1/32", interface: 0 }],
      };
      return plugins.map((plugin, index) =>
        JSON.stringify({ ...plugin, cniVersion, name, ...(index > 0 && { prevResult }) }),
      );
    });
}

/** The files and the kernel's answers while pods are added and deleted. */
function recorded(): { readonly files: readonly string[]; readonly answers: readonly Uint8Array[] } {
  const node = new FakeNode();
  node.sandbox("c1");
  const answers: Uint8Array[] = [];
  const conf = { ipam: { type: "calico-ipam", assign_ipv6: "true" } };
  const prevResult = {
    interfaces: [{ name: "eth0", sandbox: "/var/run/netns/c1" }],
    ips: [{ address: "10.0.0.1/32", interface: 0 }],
  };
  const ports = { portMappings: [{ hostPort: 53, containerPort: 53, protocol: "udp" }] };
  const rates = { ingressRate: 8e6, ingressBurst: 8e6, egressRate: 8e6, egressBurst: 8e6 };
  const call = (plugin: "calico" | "portmap" | "bandwidth", command: string, more: object) => {
    const environment = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/var/run/netns/c1",
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
    };
    const sys = node.process(environment, JSON.stringify({ cniVersion: "1.1.0", name: "net1", type: plugin, ...more }));
    const open = sys.openNetlink.bind(sys);
    sys.openNetlink = (protocol, netns) => {
      const socket = open(protocol, netns);
      return {
        ...socket,
        receive(timeoutMs) {
          const answer = socket.receive(timeoutMs);
          if (answer.length <= 2000) answers.push(answer);
          return answer;
        },
      };
    };
    node.exec(plugin, sys);
    return sys.stdout;
  };
  const result = JSON.parse(call("calico", "ADD", conf)) as object;
  call("portmap", "ADD", { prevResult: result, runtimeConfig: ports });
  call("bandwidth", "ADD", { prevResult: result, ...rates });
  const { files } = node.machine;
  const stored = files.paths().filter((path) => /^\/(run|var\/lib)\/tortie\/.*\.json$/.test(path));
  const texts = stored.map((path) => files.read(path));
  for (const plugin of ["calico", "portmap", "bandwidth"] as const)
    call(plugin, "CHECK", { ...conf, ...rates, prevResult: result, runtimeConfig: ports });
  for (const plugin of ["bandwidth", "portmap", "calico"] as const) call(plugin, "DEL", { ...conf, prevResult });
  return { files: texts, answers };
}

function joined(head: readonly number[], text: string): Uint8Array {
  return Uint8Array.of(...head, ...encoder.encode(text));
}

function half(value: number): readonly [number, number] {
  return [value & 0xff, value >> 8];
}
