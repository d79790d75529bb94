/** Clients that exist only as Go modules: built once into build/tools/go, if Go is installed. */
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
/** crictl depends on a large part of Kubernetes. */
const buildTimeoutMs = 600_000;

/** The reason why the tool is not available; `undefined` if it is there or can be built. */
export function goToolIsMissing(tool: GoTool): string | undefined {
  if (existsSync(pathOf(tool)) || goCompiler() !== undefined) return undefined;
  return `${tool} is a Go module, and there is no Go on this machine`;
}

/**
 * The path of the tool, which is built first if necessary. Throws with the compiler's output if that fails. Asynchronous, because the build takes
 * minutes on a busy machine, and the runner gives up a test process that does not respond.
 */
export async function goTool(tool: GoTool): Promise<string> {
  const path = pathOf(tool);
  const go = goCompiler();
  if (existsSync(path) || go === undefined) return path;
  // Go downloads and compiles in this directory, which is removed afterwards, and not in the user's.
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
