/** Routers in a private node's network namespaces, each with real BIRD under the agent's `Bird`. */
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Bird } from "../../../src/agent/bgp/bird.ts";
import { askBird } from "../../../src/agent/bgp/control.ts";
import { toolDir } from "../suite.ts";
import { Node } from "./netns.ts";

export const birdProgram = join(toolDir("bird2", "usr/sbin", "/usr/sbin"), "bird");
/** The reason why BIRD is not available; `undefined` if it is. */
export const birdIsMissing = existsSync(birdProgram)
  ? undefined
  : "there is no BIRD: scripts/setup unpacks Debian's bird2 where there is apt";

export class Routers {
  readonly machine: Node;
  readonly directory: string;
  readonly #birds = new Map<string, Bird>();
  readonly #troubles = new Map<string, string | undefined>();

  private constructor(machine: Node, directory: string) {
    this.machine = machine;
    this.directory = directory;
  }

  static async start(): Promise<Routers> {
    return new Routers(await Node.start("bgp"), mkdtempSync(join(tmpdir(), "tortie-bgp-")));
  }

  async stop(): Promise<void> {
    for (const bird of this.#birds.values()) await bird.close();
    await this.machine.stop();
    rmSync(this.directory, { recursive: true });
  }

  /** A namespace that forwards. */
  add(name: string): void {
    this.machine.addPod(name);
    this.machine.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1", { in: name });
  }

  /** A bridge; each member has an interface `eth0` with its addresses. */
  connectAll(bridge: string, members: Readonly<Record<string, readonly string[]>>): void {
    this.machine.sh(`ip link add ${bridge} type bridge; ip link set ${bridge} up`);
    for (const [name, addresses] of Object.entries(members)) {
      this.machine.sh(`ip link add eth0 netns ${name} type veth peer name ${bridge}-${name}
        ip link set ${bridge}-${name} master ${bridge} up; ip -n ${name} link set eth0 up`);
      this.#address(name, "eth0", addresses);
    }
  }

  /** A cable between two routers; each end is named after the other one. */
  connect(one: string, oneAddress: string, other: string, otherAddress: string): void {
    this.machine.sh(`ip link add ${other} netns ${one} type veth peer name ${one} netns ${other}
      ip -n ${one} link set ${other} up; ip -n ${other} link set ${one} up`);
    this.#address(one, other, [oneAddress]);
    this.#address(other, one, [otherAddress]);
  }

  #address(name: string, link: string, addresses: readonly string[]): void {
    for (const address of addresses) {
      const noDad = address.includes(":") ? "nodad" : "";
      this.machine.sh(`ip -n ${name} address add ${address} dev ${link} ${noDad}`);
    }
  }

  /** A new agent's BIRD for a router; BIRD itself ends with the node. */
  open(name: string): Bird {
    const script = join(this.directory, `bird-${name}`);
    const [net, pid] = [this.machine.outerPath(`/run/netns/${name}`), `/proc/${this.machine.pid}/ns/pid_for_children`];
    const pidFile = join(this.directory, name, "pid");
    writeFileSync(script, `#!/bin/sh\nexec nsenter --net=${net} --pid=${pid} ${birdProgram} "$@" -P ${pidFile}\n`);
    chmodSync(script, 0o755);
    const onState = (trouble: string | undefined) => void this.#troubles.set(name, trouble);
    const bird = new Bird({ program: script, directory: join(this.directory, name), onState, checkMs: 500 });
    this.#birds.set(name, bird);
    return bird;
  }

  bird(name: string): Bird {
    return this.#birds.get(name) ?? this.open(name);
  }

  /** What the agent says of a router's BIRD. */
  trouble(name: string): string | undefined {
    return this.#troubles.get(name);
  }

  /** The routes that BIRD gave the kernel. */
  learned(name: string, family: "-4" | "-6" = "-4"): string {
    return this.machine.sh(`ip ${family} route show proto bird`, { in: name });
  }

  /** Fails with the routers' tables after 40 seconds. */
  async until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 40_000;
    while (!(await isTrue())) {
      if (Date.now() > deadline) throw new Error(`it did not come true\n${await this.#tables()}`);
      await sleep(200);
    }
  }

  async #tables(): Promise<string> {
    const tables = [...this.#birds.keys()].map(async (name) => {
      const protocols = await askBird(join(this.directory, name, "bird.ctl"), "show protocols").catch(String);
      return `${name}:\n${this.learned(name)}${this.learned(name, "-6")}${protocols}`;
    });
    return (await Promise.all(tables)).join("\n");
  }
}
