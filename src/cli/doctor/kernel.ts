/**
 * What the kernel can do and how it is set.
 *
 * **A feature is tried, not looked up**: a module may be built in, or bear another name. It is tried in a network namespace that ends with
 * the attempt, by the very objects that the plugins make.
 */
import type { Cli } from "../cli.ts";
import type { Finding } from "./finding.ts";
import { type NetworkFacts, networksIn } from "./networks.ts";

export interface KernelFacts {
  /** `6.1.0-28-amd64`. */
  readonly release: string;
  /** What the kernel, or the program that asked it, said of each feature; empty: it is there. */
  readonly features: Readonly<Record<FeatureName, string>>;
  /** Programs that are not installed: what they would have tried is not known. */
  readonly missingPrograms: readonly string[];
}

export type FeatureName = (typeof features)[number]["name"];

interface Feature {
  readonly name: string;
  /** What needs it. */
  readonly plugin: string;
  readonly purpose: string;
  /** Modules that bring it, any of which may be built in. */
  readonly modules: readonly string[];
  readonly attempt: string;
}

const features = [
  {
    name: "veth",
    plugin: "calico",
    purpose: "pods have no interface without it",
    modules: ["veth"],
    attempt: "ip link add v0 type veth peer name v1",
  },
  {
    name: "nf_tables",
    plugin: "calico",
    purpose: "pods do not leave the node by its address without it",
    modules: ["nf_tables", "nft_chain_nat", "nft_masq"],
    attempt:
      "nft 'add table ip t; add chain ip t p { type nat hook postrouting priority 100; }; " +
      "add set ip t s { type ipv4_addr; flags interval; }; add rule ip t p ip saddr @s masquerade'",
  },
  {
    name: "nf_tables maps of host ports",
    plugin: "portmap",
    purpose: "no host port leads to a pod without it",
    modules: ["nft_fib_ipv4", "nft_ct", "nft_nat", "nft_chain_nat"],
    attempt:
      "nft 'add table ip m; add map ip m p { type inet_proto . inet_service : ipv4_addr . inet_service; }; " +
      "add chain ip m d { type nat hook prerouting priority -100; }; " +
      "add rule ip m d fib daddr type local dnat ip to meta l4proto . th dport map @p; add rule ip m d ct status dnat accept'",
  },
  {
    name: "ifb",
    plugin: "bandwidth",
    purpose: "what pods send cannot be limited without it",
    modules: ["ifb"],
    attempt: "ip link add i0 type ifb",
  },
  {
    name: "tbf",
    plugin: "bandwidth",
    purpose: "no limit can be set without it",
    modules: ["sch_tbf"],
    attempt: "tc qdisc add dev lo root tbf rate 1mbit burst 10k latency 25ms",
  },
  {
    name: "ingress",
    plugin: "bandwidth",
    purpose: "what pods send cannot be limited without it",
    modules: ["sch_ingress"],
    attempt: "tc qdisc add dev lo ingress",
  },
  {
    name: "u32 and mirred",
    plugin: "bandwidth",
    purpose: "what pods send cannot be limited without it",
    modules: ["cls_u32", "act_mirred"],
    attempt: "tc filter add dev lo parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev lo",
  },
] as const satisfies readonly Feature[];

/** The oldest that the plugins are made for. */
const oldest = [4, 19] as const;

const programs = ["ip", "tc", "nft"] as const;

export async function gatherKernel(cli: Cli): Promise<KernelFacts> {
  const release = cli.sys.readFile("/proc/sys/kernel/osrelease").trim();
  const folders = (cli.sys.environment().PATH ?? "").split(":");
  const missingPrograms = programs.filter((name) => !folders.some((folder) => cli.sys.stat(`${folder}/${name}`)));
  // What an attempt that fails has to say, and then a mark.
  const script = features
    .map(({ attempt }) => `said=$( { ${attempt}; } 2>&1 ) || echo "\${said:-it failed}"\necho @\n`)
    .join("");
  const options = { env: {}, stdin: script, timeoutMs: 60_000 };
  const { stdout, stderr } = await cli.execute(["unshare", "--net", "sh"], options);
  const answers = stdout
    .split("@\n")
    .slice(0, -1)
    .map((answer) => answer.trim().replaceAll("\n", " "));
  const said = features.map(({ name, attempt }, index) => {
    const untried = missingPrograms.some((program) => attempt.startsWith(`${program} `));
    return [name, untried ? "" : (answers[index] ?? (stderr.trim() || "not tried"))];
  });
  return { release, features: Object.fromEntries(said) as KernelFacts["features"], missingPrograms };
}

/** `types`: the plugins that networks name. */
export function judgeKernel(
  { release, features: said, missingPrograms }: KernelFacts,
  networks: NetworkFacts,
): readonly Finding[] {
  const used = new Set(networksIn(networks).flatMap(({ plugins }) => plugins.map(({ type }) => type)));
  return [
    ...judgeRelease(release),
    ...missingPrograms.map(
      (name): Finding => ({
        id: "program-missing",
        section: "kernel",
        severity: "warning",
        subject: name,
        text: "is not installed: plugins do without, but this command cannot look at what they made by it",
        remedy: `apt-get install ${name === "nft" ? "nftables" : "iproute2"}`,
      }),
    ),
    ...features
      .filter(({ name }) => said[name] !== "")
      .map(
        ({ name, plugin, purpose, modules }): Finding => ({
          id: "feature-missing",
          section: "kernel",
          severity: used.has(plugin) || plugin === "calico" ? "error" : "warning",
          subject: name,
          text: `cannot be used: ${said[name]}: ${purpose} (plugin ${plugin})`,
          remedy: `modprobe -a ${modules.join(" ")}   # or a kernel that has them built in`,
          fix: { kind: "programs", argvs: [["modprobe", "-a", ...modules]] },
        }),
      ),
  ];
}

/** The plugins that a missing feature keeps from working. */
export function pluginsMissing({ features: said }: KernelFacts): ReadonlySet<string> {
  return new Set(features.filter(({ name }) => said[name] !== "").map(({ plugin }) => plugin));
}

function judgeRelease(release: string): readonly Finding[] {
  const [major = 0, minor = 0] = release.split(".").map((part) => Number.parseInt(part, 10));
  if (major > oldest[0] || (major === oldest[0] && minor >= oldest[1])) return [];
  return [
    {
      id: "kernel-old",
      section: "kernel",
      severity: "error",
      subject: release,
      text: `is older than ${oldest.join(".")}, the oldest kernel that the plugins are made for`,
      remedy: `# boot a kernel of ${oldest.join(".")} or newer`,
    },
  ];
}
