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
  /** What brings it, and may be built in; none: only another kernel brings it. */
  readonly module?: string;
  /** The feature without which this one cannot be tried, and is not judged. */
  readonly needs?: string;
  /** Most nodes do without: a warning, whatever networks name. */
  readonly isRare?: boolean;
  readonly attempt: string;
}

const noWayOut = "pods do not leave the node by its address without it";
const noHostPorts = "no host port leads to a pod without it";
const noHostPorts6 = "no host port of IPv6 leads to a pod without it";
const noEgressLimit = "what pods send cannot be limited without it";
const rule = (hook: string, priority: number, text: string): string =>
  `nft 'add chain ip t ${hook} { type nat hook ${hook} priority ${priority}; }; add rule ip t ${hook} ${text}'`;

/** In the order in which the plugins need them. */
const features = [
  {
    name: "veth",
    plugin: "calico",
    purpose: "pods have no interface without it",
    module: "veth",
    attempt: "ip link add v0 type veth peer name v1",
  },
  { name: "nf_tables", plugin: "calico", purpose: noWayOut, module: "nf_tables", attempt: "nft add table ip t" },
  {
    name: "NAT chains",
    plugin: "calico",
    purpose: noWayOut,
    module: "nft_chain_nat",
    needs: "nf_tables",
    attempt: "nft 'add chain ip t postrouting { type nat hook postrouting priority 100; }'",
  },
  {
    name: "masquerading",
    plugin: "calico",
    purpose: noWayOut,
    module: "nft_masq",
    needs: "NAT chains",
    attempt: rule("postrouting", 100, "masquerade"),
  },
  {
    name: "fib lookups",
    plugin: "portmap",
    purpose: noHostPorts,
    module: "nft_fib_ipv4",
    needs: "NAT chains",
    attempt: rule("prerouting", -100, "fib daddr type local"),
  },
  {
    name: "destination NAT",
    plugin: "portmap",
    purpose: noHostPorts,
    module: "nft_nat",
    needs: "NAT chains",
    attempt: rule("prerouting", -100, "dnat to 192.0.2.1"),
  },
  {
    name: "conntrack matches",
    plugin: "portmap",
    purpose: noHostPorts,
    module: "nft_ct",
    needs: "NAT chains",
    attempt: rule("postrouting", 100, "ct status dnat"),
  },
  {
    name: "IPv6 fib lookups",
    plugin: "portmap",
    purpose: noHostPorts6,
    module: "nft_fib_ipv6",
    needs: "nf_tables",
    isRare: true,
    attempt: "nft 'add table ip6 t; add chain ip6 t c; add rule ip6 t c fib daddr type local'",
  },
  {
    name: "IPv6 host ports",
    plugin: "portmap",
    purpose: noHostPorts6,
    needs: "nf_tables",
    isRare: true,
    attempt:
      "nft 'add table ip6 t; add map ip6 t m { type inet_service : ipv6_addr . inet_service; }; " +
      "add element ip6 t m { 1 : ::1 . 1 }'",
  },
  { name: "ifb", plugin: "bandwidth", purpose: noEgressLimit, module: "ifb", attempt: "ip link add i0 type ifb" },
  {
    name: "tbf",
    plugin: "bandwidth",
    purpose: "no limit can be set without it",
    module: "sch_tbf",
    attempt: "tc qdisc add dev lo root tbf rate 1mbit burst 10k latency 25ms",
  },
  {
    name: "ingress",
    plugin: "bandwidth",
    purpose: noEgressLimit,
    module: "sch_ingress",
    attempt: "tc qdisc add dev lo ingress",
  },
  {
    name: "u32",
    plugin: "bandwidth",
    purpose: noEgressLimit,
    module: "cls_u32",
    needs: "ingress",
    attempt: "tc filter add dev lo parent ffff: protocol all u32 match u32 0 0 flowid 1:1",
  },
  {
    name: "mirred",
    plugin: "bandwidth",
    purpose: noEgressLimit,
    module: "act_mirred",
    attempt: "tc actions add action mirred egress redirect dev lo",
  },
] as const satisfies readonly Feature[];

/** The oldest that the plugins are made for. */
const oldest = [4, 19] as const;

const programs = ["ip", "tc", "nft"] as const;

export async function gatherKernel(cli: Cli): Promise<KernelFacts> {
  const release = cli.sys.readFile("/proc/sys/kernel/osrelease").trim();
  const directories = (cli.sys.environment().PATH ?? "").split(":");
  const missingPrograms = programs.filter(
    (name) => !directories.some((directory) => cli.sys.stat(`${directory}/${name}`)),
  );
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
    ...missingIn(said).map(({ name, plugin, purpose, module, isRare }): Finding => {
      const isNeeded = !isRare && (used.has(plugin) || plugin === "calico");
      return {
        id: "feature-missing",
        section: "kernel",
        severity: isNeeded ? "error" : "warning",
        subject: name,
        text: `cannot be used: ${said[name]}: ${purpose} (plugin ${plugin})`,
        ...(module === undefined
          ? { remedy: "# boot a kernel of 5.8 or newer" }
          : {
              remedy: `modprobe ${module}   # or a kernel that has it built in`,
              fix: { kind: "programs", argvs: [["modprobe", module]] },
            }),
      };
    }),
  ];
}

/** Of those that build on each other the first. */
function missingIn(said: KernelFacts["features"]): readonly (Feature & { readonly name: FeatureName })[] {
  const missing = (name: string): boolean => said[name as FeatureName] !== "";
  const all: readonly (Feature & { readonly name: FeatureName })[] = features;
  const isRooted = ({ needs }: Feature): boolean => needs === undefined || (!missing(needs) && isRooted(named(needs)));
  const named = (name: string): Feature => all.find((one) => one.name === name) as Feature;
  return all.filter((feature) => missing(feature.name) && isRooted(feature));
}

/** The plugins that a missing feature keeps from working. */
export function pluginsMissing({ features: said }: KernelFacts): ReadonlySet<string> {
  return new Set(
    missingIn(said)
      .filter(({ isRare }) => !isRare)
      .map(({ plugin }) => plugin),
  );
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
