/**
 * CRI-O as a plugin sees it (ocicni; server/sandbox_network.go): the same sequence of calls, made through `Runner`.
 *
 *     start   VERSION of every plugin ─► STATUS ─► GC with the sandboxes that are alive
 *     pod     ADD ─► CHECK at once, and again for each status request of the pod
 *     end     DEL with the configuration cached at ADD, once: failures are ignored until the next GC
 */
import type { Conflist } from "../conflist.ts";
import type { Node } from "../node/netns.ts";
import { type CniResult, PluginError, Runner, type Sandbox } from "./runner.ts";
import { crio, type PodRequests } from "./runtimes.ts";

export interface CrioPod extends Sandbox {
  /** The configuration at ADD: later edits of the file do not affect a running pod. */
  readonly list: Conflist;
  readonly result: CniResult;
}

export class Crio {
  readonly runner: Runner;
  readonly #list: Conflist;
  readonly #node: Node;

  /** Starts or restarts, with the running pods. Throws if a plugin does not support the exact version of the list. */
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

  /** Runs a pod's sandbox; its network namespace has the name of its container. */
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

  /** Checks a pod's network. Throws the plugin's error. */
  look({ list, ...sandbox }: CrioPod): void {
    this.runner.check(list, sandbox);
  }

  /** Deletes a pod's network. Returns the plugin's error, if any; never retries. */
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
