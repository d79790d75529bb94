/**
 * Builds kube-apiserver from the Go module k8s.io/kubernetes if Go is installed: takes minutes on the first run, and is kept outside of the checkout.
 *
 * The module requires its staging repositories at v0.0.0, a version that does not exist: the module that builds it replaces it with v0.x.y.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { goCompiler } from "../runtimes/go-tools.ts";
import { root } from "../suite.ts";

const version = "v1.37.2";
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tortie/cluster");
const program = join(cache, `kube-apiserver-${version}`);
export const buildTimeoutMs = 1_800_000;

/** The reason why the API server is not available; `undefined` if it is there or can be built. */
export const kubeApiserverIsMissing =
  existsSync(program) || goCompiler() !== undefined
    ? undefined
    : "kube-apiserver is a Go module, and there is no Go on this machine";

/** The path of the executable, which is built first if necessary. Rejects with the compiler's output. */
export async function kubeApiserver(): Promise<string> {
  const go = goCompiler();
  if (existsSync(program) || go === undefined) return program;
  const directory = join(root, "build/tools/.go-build-kube-apiserver");
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  mkdirSync(cache, { recursive: true });
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
    const output = `${program}.${process.pid}`;
    await run("build", "-trimpath", "-ldflags", "-s -w", "-o", output, "k8s.io/kubernetes/cmd/kube-apiserver");
    renameSync(output, program);
  } catch (error) {
    throw new Error(`cannot build kube-apiserver: ${(error as Error).message}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return program;
}

function moduleOf(goMod: string): string {
  const staging = new Set([...goMod.matchAll(/(k8s\.io\/[a-z-]+) v0\.0\.0$/gm)].map(([, name]) => name));
  const stagingVersion = version.replace("v1.", "v0.");
  const required = [`k8s.io/kubernetes ${version}`, ...[...staging].map((name) => `${name} ${stagingVersion}`)];
  const [goLine = ""] = /^go .*$/m.exec(goMod) ?? [];
  return `module build\n\n${goLine}\n\nrequire (\n\t${required.join("\n\t")}\n)\n`;
}
