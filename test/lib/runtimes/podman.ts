/**
 * podman 4.3 with its CNI back end on a private node, with its own directories, image and configuration.
 *
 * Everything is on the node's tmpfs and ends with it, except cgroups, which `close` removes.
 */
import { existsSync, readFileSync } from "node:fs";
import { execaSync } from "execa";
import { cgroupParent, removeOwnCgroups, removeStaleCgroups } from "../node/cgroups.ts";
import { podmanNetworkConf } from "../node/install.ts";
import { type Completed, type Node, systemPath } from "../node/netns.ts";
import { goPluginDir, toolDir } from "../suite.ts";
import { images, makeImage, serveCommand } from "./image.ts";

const home = "/run/.node/podman";
const programs = toolDir("podman", "usr/bin", "/usr/bin");
/** The signature policy, which podman requires before it loads an image. */
const policy = `${toolDir("golang-github-containers-common", "etc/containers", "/etc/containers")}/policy.json`;

/** The reason why podman is not available; `undefined` if it is. */
export const podmanIsMissing = whyNot();

function whyNot(): string | undefined {
  if (!existsSync(`${programs}/podman`)) return "there is no podman: scripts/setup unpacks Debian's where there is apt";
  const { stdout: version } = execaSync(`${programs}/podman`, ["--version"]);
  return / [0-4]\./.test(version) ? undefined : `${version} has no CNI: its last release with CNI was 4`;
}

export interface Container {
  /** The name of its network namespace, below /run/netns. */
  readonly netns: string;
  readonly networks: { readonly [network: string]: { readonly IPAddress: string; readonly MacAddress: string } };
}

export class Podman {
  readonly #node: Node;

  /** Writes the configuration and loads the image. The networks are those in the node's /etc/cni/net.d. */
  constructor(node: Node) {
    this.#node = node;
    removeStaleCgroups();
    node.sh(`mkdir -p ${home}; cat > ${home}/containers.conf`, { stdin: containersConf });
    node.sh(`cat > ${home}/storage.conf`, { stdin: storageConf });
    node.sh(`mkdir -p /etc/containers; cat > /etc/containers/policy.json`, { stdin: readFileSync(policy, "utf8") });
    this.must(["load", "-q", "-i", makeImage(node, `${home}/image`)]);
  }

  /** Starts a container that serves its name. */
  start(name: string, options: readonly string[]): Container {
    this.must(runArguments(name, options));
    return this.inspect(name);
  }

  /** The same, asynchronously. */
  startLater(name: string, options: readonly string[]): Promise<void> {
    const argv = [`${programs}/podman`, ...runArguments(name, options)];
    const started = this.#node.start(argv, { env: environment });
    return new Promise((resolve, reject) => {
      started.once("exit", (status) =>
        status === 0 ? resolve() : reject(new Error(`cannot start ${name}: ${status}`)),
      );
    });
  }

  inspect(name: string): Container {
    const [found] = JSON.parse(this.must(["inspect", name])) as readonly {
      NetworkSettings: {
        SandboxKey: string;
        Networks: { [network: string]: { IPAddress: string; MacAddress: string } };
      };
    }[];
    const { SandboxKey: netns = "", Networks: networks = {} } = found?.NetworkSettings ?? {};
    return { netns: netns.slice(netns.lastIndexOf("/") + 1), networks };
  }

  exec(name: string, command: readonly string[]): Completed {
    return this.run(["exec", name, ...command]);
  }

  remove(...names: readonly string[]): void {
    this.must(["rm", "-f", "-t", "0", ...names]);
  }

  run(argv: readonly string[]): Completed {
    return this.#node.run([`${programs}/podman`, ...argv], { env: environment, timeoutMs: 120_000 });
  }

  /** Call it after the node has ended: a cgroup in use cannot be removed. */
  close(): void {
    removeOwnCgroups();
  }

  /** Runs podman, which must succeed; returns its output. */
  must(argv: readonly string[]): string {
    const { status, stdout, stderr } = this.run(argv);
    if (status !== 0) throw new Error(`cannot run podman ${argv.join(" ")}: ${stderr.trim()}`);
    return stdout;
  }
}

const environment = {
  PATH: `${programs}:${toolDir("runc", "usr/sbin", "/usr/sbin")}:${systemPath}`,
  HOME: home,
  CONTAINERS_CONF: `${home}/containers.conf`,
  CONTAINERS_STORAGE_CONF: `${home}/storage.conf`,
};

function runArguments(name: string, options: readonly string[]): readonly string[] {
  const cgroup = `--cgroup-parent=${cgroupParent}`;
  return ["run", "-d", "--name", name, "--hostname", name, cgroup, ...options, images.box, ...serveCommand];
}

const containersConf = `
[containers]
apparmor_profile = ""
cgroupns = "host"
default_sysctls = []
[engine]
runtime = "runc"
conmon_path = ["${toolDir("conmon", "usr/bin", "/usr/bin")}/conmon"]
cgroup_manager = "cgroupfs"
events_logger = "file"
static_dir = "${home}/static"
tmp_dir = "${home}/tmp"
volume_path = "${home}/volumes"
${podmanNetworkConf().replace("/usr/lib/cni", goPluginDir)}
`;

const storageConf = `
[storage]
driver = "overlay"
runroot = "${home}/run"
graphroot = "${home}/root"
`;
