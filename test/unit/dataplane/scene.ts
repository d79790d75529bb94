/** A machine with sandboxes, and the plan of an endpoint with all kinds of rtnetlink resources. */
import { type Executor, withExecutor } from "../../../src/dataplane/executor.ts";
import { CoreError } from "../../../src/errors/core-error.ts";
import type { Netns, Sys } from "../../../src/host/sys.ts";
import type { Plan, Resource } from "../../../src/plan/resource.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";

export type Applied = ReturnType<Executor["apply"]>;

export interface Scene {
  readonly sys: Sys;
  readonly sandbox?: Netns;
}

export interface Setup {
  readonly machine: FakeMachine;
  readonly sys: FakeSys;
  readonly scene: Scene;
}

/** A machine with one sandbox, `pod`. */
export function newSetup(machine = new FakeMachine(), name = "pod"): Setup {
  const sys = new FakeSys({ machine });
  const sandbox = sys.openNetns(machine.addSandbox(name));
  return { machine, sys, scene: { sys, sandbox } };
}

export function endpointPlan(id = 5, owner = `tortie:net/c${id}/eth0`): Plan {
  const host = `cali${id}`;
  return {
    owner,
    resources: [
      { kind: "route", at: "host", link: host, destination: `10.0.0.${id}/32` },
      { kind: "route", at: "host", link: host, destination: `fd00::${id}/128` },
      { kind: "route", at: "sandbox", link: "eth0", destination: "0.0.0.0/0", gateway: "169.254.1.1", mtu: 1400 },
      { kind: "route", at: "sandbox", link: "eth0", destination: "169.254.1.1/32", scope: "link" },
      { kind: "route", at: "sandbox", link: "eth0", destination: "::/0", gateway: "fe80::ecee:eeff:feee:eeee" },
      ...shapingOf(host, `bwp${id}`),
      { kind: "address", at: "sandbox", link: "eth0", address: `10.0.0.${id}/32` },
      { kind: "address", at: "sandbox", link: "eth0", address: `fd00::${id}/128`, noDad: true },
      { kind: "neighbour", at: "sandbox", link: "eth0", address: "169.254.1.1", mac: "ee:ee:ee:ee:ee:ee" },
      { kind: "up", at: "host", link: host },
      { kind: "up", at: "sandbox", link: "eth0" },
      { kind: "sysctl", at: "host", path: `net/ipv4/conf/${host}/proxy_arp`, value: "1" },
      { kind: "sysctl", at: "sandbox", path: "net/ipv6/conf/eth0/accept_dad", value: "0" },
      { kind: "sysctl", at: "sandbox", path: "net/ipv4/ip_forward", value: "0", initial: true },
      {
        kind: "veth",
        host: { name: host, mac: "ee:ee:ee:ee:ee:ee" },
        sandbox: { name: "eth0", mac: `02:00:00:00:00:0${id}` },
        mtu: 1440,
      },
    ],
  };
}

export function shapingOf(host: string, ifb: string): readonly Resource[] {
  const bucket = { kind: "qdisc", at: "host", discipline: "tbf", rateBytes: 125_000, burstBytes: 125_000 } as const;
  return [
    { kind: "redirect", at: "host", link: host, target: ifb },
    { ...bucket, link: host, limitBytes: 128_125, bufferTicks: 15_625_000 },
    { kind: "qdisc", at: "host", link: host, discipline: "ingress" },
    { kind: "up", at: "host", link: ifb },
    { kind: "ifb", at: "host", name: ifb, mtu: 1440, txQueueLength: 0 },
  ];
}

/** Runs an executor there, with its own connections. */
export function inScene<T>({ sys, sandbox }: Scene, body: (executor: Executor) => T): T {
  return withExecutor(sys, sandbox, body);
}

export function applied({ scene }: Pick<Setup, "scene">, plan: Plan): Applied {
  return inScene(scene, (executor) => executor.apply(plan));
}

export function differences({ scene }: Pick<Setup, "scene">, plan: Plan): readonly string[] {
  return inScene(scene, (executor) => executor.diff(plan)).map(({ text }) => text);
}

/** Removes a host link by name and owner. */
export function removeLink(scene: Scene, name: string, owner: string): void {
  inScene(scene, (executor) => executor.remove(owner, [{ kind: "link", at: "host", name }]));
}

/** `<name> <kind> <owner>` of each link with this prefix of the owner. */
export function ownedLinks(scene: Scene, ownerPrefix: string): readonly string[] {
  return (["ifb", "veth"] as const).flatMap((kind) =>
    inScene(scene, (executor) => executor.list({ kind, ownerPrefix })).map(
      ({ name, owner }) => `${name} ${kind} ${owner}`,
    ),
  );
}

/** The class and message of the error that the call throws. */
export function refusalOf(body: () => unknown): { readonly kind: unknown; readonly message: string } {
  try {
    body();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { kind: error instanceof CoreError ? error.kind : undefined, message: error.message };
  }
  throw new Error("it did not throw");
}
