/**
 * podman 4.3 with its CNI back end on a private node: folders, image and configuration of its own, nothing of the machine's.
 *
 * Everything lives on the node's tmpfs and ends with it, but cgroups, which `close` removes.
 */
import { cgroupParent, removeOwnCgroups, removeStaleCgroups } from "./cgroups.ts";
import { images, makeImage } from "./image.ts";
import type { Completed, Node } from "./netns.ts";

const home = "/run/.node/podman";

export interface PodmanOptions {
  readonly pluginDirs: readonly string[];
  /** Text of the network's conflist. */
  readonly conflist: string;
  readonly network: string;
}

export class Podman {
  readonly #node: Node;
  readonly #network: string;

  /** Writes the configuration and loads the image. */
  constructor(node: Node, { pluginDirs, conflist, network }: PodmanOptions) {
    this.#node = node;
    this.#network = network;
    removeStaleCgroups();
    node.sh(`mkdir -p ${home}/net.d; cat > ${home}/net.d/10-test.conflist`, { stdin: conflist });
    node.sh(`cat > ${home}/containers.conf`, { stdin: containersConf(pluginDirs, network) });
    node.sh(`cat > ${home}/storage.conf`, { stdin: storageConf });
    this.#must(["load", "-q", "-i", makeImage(node, `${home}/image`)]);
  }

  /** Starts a container on the network; returns its address. */
  start(name: string, options: readonly string[], command: readonly string[] = []): string {
    const cgroup = `--cgroup-parent=${cgroupParent}`;
    this.#must(["run", "-d", "--name", name, "--network", this.#network, cgroup, ...options, images.box, ...command]);
    return this.#must(["inspect", "-f", `{{.NetworkSettings.Networks.${this.#network}.IPAddress}}`, name]).trim();
  }

  exec(name: string, command: readonly string[]): Completed {
    return this.run(["exec", name, ...command]);
  }

  remove(...names: readonly string[]): void {
    this.#must(["rm", "-f", "-t", "0", ...names]);
  }

  run(argv: readonly string[]): Completed {
    const env = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: home,
      CONTAINERS_CONF: `${home}/containers.conf`,
      CONTAINERS_STORAGE_CONF: `${home}/storage.conf`,
    };
    return this.#node.run(["podman", ...argv], { env, timeoutMs: 120_000 });
  }

  /** Call it when the node is gone: a cgroup in use cannot be removed. */
  close(): void {
    removeOwnCgroups();
  }

  #must(argv: readonly string[]): string {
    const { status, stdout, stderr } = this.run(argv);
    if (status !== 0) throw new Error(`cannot run podman ${argv.join(" ")}: ${stderr.trim()}`);
    return stdout;
  }
}

function containersConf(pluginDirs: readonly string[], network: string): string {
  return `
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
[network]
network_backend = "cni"
cni_plugin_dirs = ${JSON.stringify(pluginDirs)}
network_config_dir = "${home}/net.d"
default_network = "${network}"
`;
}

const storageConf = `
[storage]
driver = "overlay"
runroot = "${home}/run"
graphroot = "${home}/root"
`;
