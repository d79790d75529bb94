/**
 * podman 4.3 with its CNI back end on a private node: folders, image and configuration of its own, nothing of the machine's.
 *
 * Everything lives on the node's tmpfs and ends with it, but cgroups: containers go under `/tortie-test-<pid>`, which `close` removes,
 * and the next start removes those of test processes that were killed.
 */
import { readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Completed, Node } from "./netns.ts";

const home = "/run/.node/podman";
const image = "localhost/box:1";
const cgroupRoot = "/sys/fs/cgroup";
const cgroupPrefix = "tortie-test-";

export interface PodmanOptions {
  readonly pluginDirs: readonly string[];
  /** Text of the network's conflist. */
  readonly conflist: string;
  readonly network: string;
}

export class Podman {
  readonly #node: Node;
  readonly #network: string;
  readonly #cgroup = `${cgroupPrefix}${process.pid}`;

  /** Writes the configuration and loads the image. */
  constructor(node: Node, { pluginDirs, conflist, network }: PodmanOptions) {
    this.#node = node;
    this.#network = network;
    removeCgroups((name) => name.startsWith(cgroupPrefix) && !isAlive(Number(name.slice(cgroupPrefix.length))));
    node.sh(`mkdir -p ${home}/net.d; cat > ${home}/net.d/10-test.conflist`, { stdin: conflist });
    node.sh(`cat > ${home}/containers.conf`, { stdin: containersConf(pluginDirs, network) });
    node.sh(`cat > ${home}/storage.conf`, { stdin: storageConf });
    node.sh(makeImage);
    this.#must(["load", "-q", "-i", `${home}/box.tar`]);
  }

  /** Starts a container on the network; returns its address. */
  start(name: string, options: readonly string[], command: readonly string[] = []): string {
    const cgroup = `--cgroup-parent=/${this.#cgroup}`;
    this.#must(["run", "-d", "--name", name, "--network", this.#network, cgroup, ...options, image, ...command]);
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
    removeCgroups((name) => name === this.#cgroup);
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

/** A docker-archive of one layer: static busybox, links for some of its applets, and a page to serve. */
const makeImage = `
cd ${home}
mkdir -p layer/bin layer/tmp layer/www
cp "$(command -v busybox)" layer/bin/busybox
for applet in sh sleep nc httpd ping echo cat ip; do ln -s busybox layer/bin/$applet; done
echo page > layer/www/index.html
tar -C layer -cf layer.tar .
digest=$(sha256sum layer.tar | cut -d ' ' -f 1)
case $(uname -m) in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
cat > config.json <<END
{"architecture":"$arch","os":"linux","config":{"Cmd":["/bin/sleep","600"]},"rootfs":{"type":"layers","diff_ids":["sha256:$digest"]}}
END
cat > manifest.json <<END
[{"Config":"config.json","RepoTags":["${image}"],"Layers":["layer.tar"]}]
END
tar -cf box.tar manifest.json config.json layer.tar
`;

/** Version 1 has a folder per controller, version 2 has one tree. */
function removeCgroups(wanted: (name: string) => boolean): void {
  for (const parent of [cgroupRoot, ...foldersIn(cgroupRoot)]) {
    for (const folder of foldersIn(parent).filter((path) => wanted(path.slice(parent.length + 1)))) removeTree(folder);
  }
}

/** A cgroup's files go with it; only empty ones can be removed, the deepest first. */
function removeTree(folder: string): void {
  for (const child of foldersIn(folder)) removeTree(child);
  rmdirSync(folder);
}

function foldersIn(parent: string): readonly string[] {
  return readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(parent, entry.name));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
