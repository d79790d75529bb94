/**
 * Builds Kubernetes' programs from the Go module k8s.io/kubernetes if Go is installed: takes minutes on the first run, and is kept outside of the checkout.
 *
 * The module requires its staging repositories at v0.0.0, a version that does not exist: the module that builds it replaces it with v0.x.y.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { goCompiler } from "../runtimes/go-tools.ts";
import { root } from "../suite.ts";

const version = "v1.37.2";
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tortie/cluster");
export const buildTimeoutMs = 3_600_000;

const all = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"] as const;
export type KubernetesProgram = (typeof all)[number];

function pathOf(program: KubernetesProgram): string {
  return join(cache, `${program}-${version}`);
}

/** The reason why a program is not available; `undefined` if all are there or can be built. */
export function kubernetesIsMissing(...programs: readonly KubernetesProgram[]): string | undefined {
  const missing = programs.filter((program) => !existsSync(pathOf(program)));
  if (missing.length === 0 || goCompiler() !== undefined) return undefined;
  return `${missing.join(", ")} of a Go module, and there is no Go on this machine`;
}

export const kubeApiserverIsMissing = kubernetesIsMissing("kube-apiserver");

/**
 * The paths of the executables. If one is missing, all are built, because they share most packages; a test process that needs one meanwhile waits.
 * Rejects with the compiler's output.
 */
export async function kubernetesPrograms<const Name extends KubernetesProgram>(
  ...programs: readonly Name[]
): Promise<Readonly<Record<Name, string>>> {
  const isMissing = (program: KubernetesProgram) => !existsSync(pathOf(program));
  const go = goCompiler();
  if (go !== undefined && programs.some(isMissing)) {
    mkdirSync(cache, { recursive: true });
    await withLock(join(cache, "build.lock"), async () => {
      if (programs.some(isMissing)) await build(go, all.filter(isMissing));
    });
  }
  return Object.fromEntries(programs.map((program) => [program, pathOf(program)])) as Record<Name, string>;
}

/** The lock belongs to a process that ends with its standard input, and so with this process. */
async function withLock(path: string, body: () => Promise<void>): Promise<void> {
  const holder = spawn("flock", [path, "sh", "-c", "echo locked; cat"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(holder, "exit");
  await Promise.race([once(holder.stdout, "data"), ended]);
  try {
    await body();
  } finally {
    holder.stdin.end();
    await ended;
  }
}

async function build(go: string, programs: readonly KubernetesProgram[]): Promise<void> {
  const directory = join(root, "build/tools/.go-build-kubernetes");
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const env = {
    CGO_ENABLED: "0",
    GOTOOLCHAIN: "local",
    GOFLAGS: "-modcacherw -mod=mod",
    GOPATH: join(directory, "path"),
    GOCACHE: join(directory, "cache"),
  };
  const run = (...args: readonly string[]) =>
    execa("nice", ["-n", "19", go, ...args], { cwd: directory, env, timeout: buildTimeoutMs });
  try {
    writeFileSync(join(directory, "go.mod"), "module build\n");
    const { stdout } = await run("mod", "download", "-json", `k8s.io/kubernetes@${version}`);
    const { GoMod } = JSON.parse(stdout) as { readonly GoMod: string };
    writeFileSync(join(directory, "go.mod"), moduleOf(readFileSync(GoMod, "utf8")));
    for (const program of programs) {
      const output = `${pathOf(program)}.${process.pid}`;
      await run("build", "-trimpath", "-ldflags", "-s -w", "-o", output, `k8s.io/kubernetes/cmd/${program}`);
      renameSync(output, pathOf(program));
    }
  } catch (error) {
    throw new Error(`cannot build ${programs.join(", ")}: ${(error as Error).message}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function moduleOf(goMod: string): string {
  const staging = new Set([...goMod.matchAll(/(k8s\.io\/[a-z-]+) v0\.0\.0$/gm)].map(([, name]) => name));
  const stagingVersion = version.replace("v1.", "v0.");
  const required = [`k8s.io/kubernetes ${version}`, ...[...staging].map((name) => `${name} ${stagingVersion}`)];
  const [goLine = ""] = /^go .*$/m.exec(goMod) ?? [];
  return `module build\n\n${goLine}\n\nrequire (\n\t${required.join("\n\t")}\n)\n`;
}
