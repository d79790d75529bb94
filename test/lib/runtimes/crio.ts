/**
 * CRI-O as far as a plugin can tell (ocicni; server/sandbox_network.go): its calls in its order, over the calls of libcni.
 *
 *     start   VERSION of every plugin ─► STATUS ─► GC with the sandboxes that are alive
 *     pod     ADD ─► CHECK at once, and again whenever it asks how the pod is
 *     end     DEL with what was cached at ADD, once: what fails is forgotten until the next GC
 */
import type { Conflist } from "../conflist.ts";
import type { Node } from "../node/netns.ts";
import { type CniResult, PluginError, Runner, type Sandbox } from "./runner.ts";
import { crio, type PodRequests } from "./runtimes.ts";

export interface CrioPod extends Sandbox {
  /** The configuration at ADD: an edit of the file does not reach a pod that runs. */
  readonly list: Conflist;
  readonly result: CniResult;
}

export class Crio {
  readonly runner: Runner;
  readonly #list: Conflist;
  readonly #node: Node;

  /** Starts, or starts again, with the pods that are alive. Throws when a plugin does not know the list's very version. */
  constructor(node: Node, pluginDirs: readonly string[], list: Conflist, alive: readonly CrioPod[] = []) {
    this.#node = node;
    this.#list = list;
    this.runner = new Runner({ node, pluginDirs });
    for (const { type } of list.plugins) {
      const { supportedVersions } = this.runner.version(type);
      if (supportedVersions.includes(list.cniVersion)) continue;
      throw new Error(`plugin ${type} does not support config version "${list.cniVersion}"`);
    }
    this.runner.status(list);
    this.runner.gc(list, alive);
  }

  /** Runs a pod's sandbox; its network namespace is called like its container. */
  run(pod: PodRequests): CrioPod {
    const sandbox = {
      containerId: pod.containerId,
      netns: this.#node.addPod(pod.containerId),
      ifname: "eth0",
      ...crio(pod),
    };
    const result = this.runner.add(this.#list, sandbox);
    const running = { ...sandbox, list: this.#list, result };
    this.look(running);
    return running;
  }

  /** Asks how a pod's network is. Throws what is wrong with it. */
  look({ list, ...sandbox }: CrioPod): void {
    this.runner.check(list, sandbox);
  }

  /** Ends a pod's network. What a plugin says against it is returned, and nothing is tried again. */
  stop({ list, ...sandbox }: CrioPod): PluginError | undefined {
    try {
      this.runner.del(list, sandbox);
      return undefined;
    } catch (error) {
      if (!(error instanceof PluginError)) throw error;
      this.runner.forget();
      return error;
    }
  }
}
