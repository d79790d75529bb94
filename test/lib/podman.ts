/**
 * podman 4.3 with its CNI back end on a private node: folders, image and configuration of its own, nothing of the machine's.
 *
 * Everything lives on the node's tmpfs and ends with it, but cgroups, which `close` removes.
 */
import { cgroupParent, removeOwnCgroups, removeStaleCgroups } from "./cgroups.ts";
import { images, makeImage, serveCommand } from "./image.ts";
import { podmanNetworkConf } from "./install.ts";
import type { Completed, Node } from "./netns.ts";

const home = "/run/.node/podman";

export interface Container {
  /** Of its network namespace, below /run/netns. */
  readonly netns: string;
  readonly networks: { readonly [network: string]: { readonly IPAddress: string; readonly MacAddress: string } };
}

export class Podman {
  readonly #node: Node;

  /** Writes the configuration and loads the image. Networks are those of the node's /etc/cni/net.d. */
  constructor(node: Node) {
    this.#node = node;
    removeStaleCgroups();
    node.sh(`mkdir -p ${home}; cat > ${home}/containers.conf`, { stdin: containersConf });
    node.sh(`cat > ${home}/storage.conf`, { stdin: storageConf });
    this.must(["load", "-q", "-i", makeImage(node, `${home}/image`)]);
  }

  /** Starts a container that serves its name. */
  start(name: string, options: readonly string[]): Container {
    this.must(runArguments(name, options));
    return this.inspect(name);
  }

  /** The same, while others do the same. */
  startLater(name: string, options: readonly string[]): Promise<void> {
    const argv = ["podman", ...runArguments(name, options)];
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
    return this.#node.run(["podman", ...argv], { env: environment, timeoutMs: 120_000 });
  }

  /** Call it when the node is gone: a cgroup in use cannot be removed. */
  close(): void {
    removeOwnCgroups();
  }

  /** Throws when podman fails; returns what it wrote. */
  must(argv: readonly string[]): string {
    const { status, stdout, stderr } = this.run(argv);
    if (status !== 0) throw new Error(`cannot run podman ${argv.join(" ")}: ${stderr.trim()}`);
    return stdout;
  }
}

const environment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
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
cgroup_manager = "cgroupfs"
events_logger = "file"
static_dir = "${home}/static"
tmp_dir = "${home}/tmp"
volume_path = "${home}/volumes"
${podmanNetworkConf()}
`;

const storageConf = `
[storage]
driver = "overlay"
runroot = "${home}/run"
graphroot = "${home}/root"
`;
