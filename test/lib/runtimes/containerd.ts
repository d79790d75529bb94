/**
 * containerd with its CRI on a private node: its own directories, socket and image; plugins and configuration in the default places,
 * /opt/cni/bin and /etc/cni/net.d of the node.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { removeStaleCgroups } from "../node/cgroups.ts";
import { type Node, systemPath } from "../node/netns.ts";
import { toolDir } from "../suite.ts";
import { Cri, until } from "./cri.ts";
import { images, makeImage } from "./image.ts";

const programs = toolDir("containerd", "usr/bin", "/usr/bin");
const home = "/run/.node/containerd";
const path = `${programs}:${toolDir("runc", "usr/sbin", "/usr/sbin")}:${systemPath}`;

/** The reason why containerd is not available; `undefined` if it is. */
export const containerdIsMissing = existsSync(join(programs, "containerd"))
  ? undefined
  : "there is no containerd: scripts/setup unpacks Debian's where there is apt";

/** Lines of a diff of snapshots: directories that containerd, its runtime and libcni create and keep. */
export const containerdsOwn = /^\+ file (\/run\/containerd\/|\/run\/runc\/|\/var\/lib\/cni\/(results\/)?$)/;

export class Containerd {
  /** The path of its socket inside the node. */
  readonly socket = `${home}/containerd.sock`;
  readonly #node: Node;
  #cri: Cri | undefined;

  private constructor(node: Node) {
    this.#node = node;
  }

  /** A client of the running daemon; after a restart, call this again. */
  get cri(): Cri {
    this.#cri ??= new Cri(this.#node.outerPath(this.socket));
    return this.#cri;
  }

  static async start(node: Node): Promise<Containerd> {
    removeStaleCgroups();
    node.sh(`mkdir -p ${home}; cat > ${home}/config.toml`, { stdin: config });
    const containerd = new Containerd(node);
    await containerd.begin();
    const image = makeImage(node, `${home}/image`);
    containerd.load(image);
    // The CRI learns of an imported image by an event.
    await until(Date.now() + 20_000, async () => (await containerd.cri.listImages()).includes(images.pause));
    return containerd;
  }

  /** Loads the images of an archive in the node. */
  load(archive: string): void {
    this.#node.sh(`${programs}/ctr --address ${this.socket} --namespace k8s.io images import ${archive}`);
  }

  /** Starts the daemon and waits until it answers. */
  async begin(): Promise<void> {
    const script = `echo $$ > ${home}/pid; exec containerd --config ${home}/config.toml >> ${home}/log 2>&1`;
    this.#node.start(["/bin/sh", "-c", script], { env: { PATH: path } });
    try {
      await this.cri.ready();
    } catch (error) {
      throw new Error(`cannot start containerd: ${(error as Error).message}\n${this.log()}`);
    }
  }

  /** Ends the daemon. Its pods keep running. */
  end(signal: "TERM" | "KILL"): void {
    this.close();
    this.#node.sh(`
      pid=$(cat ${home}/pid)
      kill -${signal} $pid
      for i in $(seq 500); do [ -e /proc/$pid ] || exit 0; sleep 0.02; done
      exit 1
    `);
  }

  /** Closes the client. */
  close(): void {
    this.#cri?.close();
    this.#cri = undefined;
  }

  /** The end of its log. */
  log(): string {
    return this.#node.sh(`tail -n 40 ${home}/log`);
  }
}

const config = `
version = 2
root = "${home}/root"
state = "${home}/state"
[grpc]
address = "${home}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${images.pause}"
disable_apparmor = true
disable_hugetlb_controller = true
tolerate_missing_hugetlb_controller = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
`;
