/** A node of the model machine that runs `calico-ipam` as a main plugin does. */
import calicoIpam from "../../../plugins/calico-ipam/main.ts";
import { exitCodeOf } from "../../../src/plugin/run.ts";
import type { FakeLink } from "../../lib/fake/netns.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";

export interface Call {
  readonly container?: string;
  readonly ifname?: string;
  readonly args?: string;
  readonly ipam?: object;
  /** Merged into the configuration. */
  readonly document?: object;
  readonly hostname?: string;
}

export interface Answer {
  readonly ips?: readonly { readonly address: string }[];
  readonly code?: number;
  readonly msg?: string;
}

export class IpamWorld {
  readonly machine = new FakeMachine();
  readonly #netns = this.machine.addSandbox("pod");
  /** The log of the last process. */
  log = "";

  /** One execution; `{}` without output. */
  run(command: string, call: Call = {}): Answer {
    const { container = "3f2a", ifname = "eth0", args = "", ipam = {}, document = {}, hostname = "node-1" } = call;
    const named = { CNI_CONTAINERID: container, CNI_IFNAME: ifname, CNI_NETNS: this.#netns, CNI_ARGS: args };
    const process = new FakeSys({
      machine: this.machine,
      hostname,
      args: ["/opt/cni/bin/calico-ipam"],
      environment: {
        CNI_COMMAND: command,
        CNI_PATH: "/opt/cni/bin",
        ...(/GC|STATUS/.test(command) ? {} : named),
      },
      stdin: JSON.stringify({
        cniVersion: "1.1.0",
        name: "net1",
        type: "calico",
        log_file_path: "/var/log/ipam.log",
        ipam: { type: "calico-ipam", ...ipam },
        ...document,
      }),
    });
    this.machine.nowMs++;
    const before = this.#logged();
    exitCodeOf(calicoIpam, process);
    this.log = this.#logged().slice(before.length);
    return process.stdout === "" ? {} : (JSON.parse(process.stdout) as Answer);
  }

  /** The addresses that ADD assigns. Throws its answer if it assigns none. */
  add(call: Call = {}): readonly string[] {
    const answer = this.run("ADD", call);
    if (answer.ips === undefined) throw new Error(`ADD answers ${JSON.stringify(answer)}`);
    return answer.ips.map(({ address }) => address.replace(/\/.*/, ""));
  }

  /** Gives the node an uplink with these addresses. */
  uplink(name: string, ...addresses: readonly string[]): FakeLink {
    const { host } = this.machine.kernel;
    const link = host.addLink({ name, kind: "device", mac: this.machine.kernel.randomMac(), mtu: 1500 });
    host.raise(link);
    for (const address of addresses) host.addAddress(link, address);
    return link;
  }

  route(destination: string, link: FakeLink, gateway?: string): void {
    this.machine.kernel.host.routes.push({
      destination,
      index: link.index,
      gateway,
      scope: gateway === undefined ? 253 : 0,
      table: 254,
      source: undefined,
      priority: undefined,
      mtu: undefined,
      advmss: undefined,
      protocol: "boot",
    });
  }

  write(path: string, text: string): void {
    const directory = path.slice(0, path.lastIndexOf("/"));
    this.machine.files.makeDirs(directory, 0o755);
    this.machine.files.create(path, text, 0o644);
  }

  pool(name: string, spec: object): void {
    const object = { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec };
    this.write(`/var/lib/tortie/ippools/${name}.json`, JSON.stringify(object));
  }

  /** The CIDR of each pool, by name. */
  pools(): Readonly<Record<string, string>> {
    const directory = "/var/lib/tortie/ippools";
    if (this.machine.files.stat(directory) === undefined) return {};
    const names = [...this.machine.files.list(directory)].sort();
    const cidrOf = (name: string): string => JSON.parse(this.machine.files.read(`${directory}/${name}`)).spec.cidr;
    return Object.fromEntries(names.map((name) => [name.replace(".json", ""), cidrOf(name)]));
  }

  #logged(): string {
    const path = "/var/log/ipam.log";
    return this.machine.files.stat(path) === undefined ? "" : this.machine.files.read(path);
  }
}
