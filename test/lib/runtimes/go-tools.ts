/** Clients that are there as Go modules only: built once, where Go is at hand, into build/tools/go. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { root } from "../suite.ts";

const modules = {
  cnitool: "github.com/containernetworking/cni/cnitool@v1.3.0",
  crictl: "sigs.k8s.io/cri-tools/cmd/crictl@v1.34.0",
} as const;

export type GoTool = keyof typeof modules;

const directory = join(root, "build/tools/go");
const compilers = ["/usr/local/go/bin/go", "/usr/bin/go", "/usr/local/bin/go"];
/** crictl brings a good part of Kubernetes along. */
const buildTimeoutMs = 600_000;

/** Why there is no such tool; `undefined` when it is there or can be built. */
export function goToolIsMissing(tool: GoTool): string | undefined {
  if (existsSync(pathOf(tool)) || goCompiler() !== undefined) return undefined;
  return `${tool} is a Go module, and there is no Go on this machine`;
}

/**
 * The path of the tool, which is built when it is not there yet. Throws with the compiler's words when that fails. The build takes minutes on
 * a busy machine: a test process that did not answer its runner meanwhile would be given up.
 */
export async function goTool(tool: GoTool): Promise<string> {
  const path = pathOf(tool);
  const go = goCompiler();
  if (existsSync(path) || go === undefined) return path;
  // What Go downloads and compiles on the way goes away again, and nothing of it to the user's own directories.
  const workDirectory = join(root, `build/tools/.go-build-${tool}`);
  rmSync(workDirectory, { recursive: true, force: true });
  const env = {
    GOBIN: directory,
    GOTOOLCHAIN: "local",
    GOFLAGS: "-modcacherw",
    GOPATH: join(workDirectory, "path"),
    GOCACHE: join(workDirectory, "cache"),
  };
  try {
    await execa(go, ["install", modules[tool]], { env, timeout: buildTimeoutMs });
  } catch (error) {
    throw new Error(`cannot build ${modules[tool]}: ${(error as Error).message}`);
  } finally {
    rmSync(workDirectory, { recursive: true, force: true });
  }
  return path;
}

function pathOf(tool: GoTool): string {
  return join(directory, tool);
}

export function goCompiler(): string | undefined {
  return compilers.find((path) => existsSync(path));
}
