/**
 * The features and settings of the kernel.
 *
 * **Features are tested, not looked up**: a module may be built in, or have another name. The test runs in a temporary network namespace, with
 * the very objects that the plugins create.
 */
import { descriptors } from "#plugins/descriptors";
import type { Feature } from "../../plugin/descriptor.ts";
import type { Cli } from "../cli.ts";
import type { Finding } from "./finding.ts";
import { type NetworkFacts, networksIn } from "./networks.ts";

export interface KernelFacts {
  /** `6.1.0-28-amd64`. */
  readonly release: string;
  /** The error for each feature, from the kernel or from the program that tested it; empty: the feature exists. */
  readonly features: Readonly<Record<string, string>>;
  /** Programs that are not installed, so that the features that they test are unknown. */
  readonly missingPrograms: readonly string[];
}

/** In the order in which the plugins need them. */
const features = descriptors.flatMap(({ name: plugin, features }) =>
  features.map((feature) => ({ ...feature, plugin })),
);

/** The oldest supported version. */
const oldest = [4, 19] as const;

const programs = ["ip", "tc", "nft"] as const;

export async function gatherKernel(cli: Cli): Promise<KernelFacts> {
  const release = cli.sys.readFile("/proc/sys/kernel/osrelease").trim();
  const directories = (cli.sys.environment().PATH ?? "").split(":");
  const missingPrograms = programs.filter(
    (name) => !directories.some((directory) => cli.sys.stat(`${directory}/${name}`)),
  );
  // The error of a failed test, followed by a mark.
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
export function checkKernel(
  { release, features: said, missingPrograms }: KernelFacts,
  networks: NetworkFacts,
): readonly Finding[] {
  const used = new Set(networksIn(networks).flatMap(({ plugins }) => plugins.map(({ type }) => type)));
  return [
    ...checkRelease(release),
    ...missingPrograms.map(
      (name): Finding => ({
        id: "program-missing",
        section: "kernel",
        severity: "warning",
        subject: name,
        text: "is not installed: plugins do not need it, but without it this command cannot check what they created",
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

/** The first missing feature of each chain of dependent ones. */
function missingIn(said: KernelFacts["features"]): readonly (typeof features)[number][] {
  const missing = (name: string): boolean => said[name] !== "";
  const all: readonly (typeof features)[number][] = features;
  const isRooted = ({ needs }: Feature): boolean => needs === undefined || (!missing(needs) && isRooted(named(needs)));
  const named = (name: string): Feature => all.find((one) => one.name === name) as Feature;
  return all.filter((feature) => missing(feature.name) && isRooted(feature));
}

/** The plugins that do not work because of a missing feature. */
export function pluginsMissing({ features: said }: KernelFacts): ReadonlySet<string> {
  return new Set(
    missingIn(said)
      .filter(({ isRare }) => !isRare)
      .map(({ plugin }) => plugin),
  );
}

function checkRelease(release: string): readonly Finding[] {
  const [major = 0, minor = 0] = release.split(".").map((part) => Number.parseInt(part, 10));
  if (major > oldest[0] || (major === oldest[0] && minor >= oldest[1])) return [];
  return [
    {
      id: "kernel-old",
      section: "kernel",
      severity: "error",
      subject: release,
      text: `is older than ${oldest.join(".")}, the oldest kernel that the plugins support`,
      remedy: `# boot a kernel of ${oldest.join(".")} or newer`,
    },
  ];
}
