/** Checks whether the pools that a network configuration names exist on this node or would be created, with ADD's messages. */
import { type IpamConf, parseConf } from "../../../plugins/calico-ipam/conf.ts";
import { CoreError } from "../../errors/core-error.ts";
import { selectPools, type Wanted } from "../../ipam/assign/pool-selection.ts";
import { readScope } from "../../ipam/model/labels.ts";
import { listPools } from "../../ipam/model/pool.ts";
import { canonicalPrefix } from "../../net/prefix.ts";
import { usesAgent } from "../../plugin/node-agent.ts";
import { isObject } from "../../schema/schema.ts";
import type { Transaction } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { readFiles } from "../store.ts";
import type { LintFinding } from "./plugin.ts";

/** For a document without other findings. */
export function lintNamedPools(cli: Cli, document: Readonly<Record<string, unknown>>): readonly LintFinding[] {
  const plugins = Array.isArray(document.plugins) ? document.plugins : [document];
  return plugins.flatMap((plugin, index): readonly LintFinding[] => {
    // A cluster's pools are not on this node.
    if (!isObject(plugin) || usesAgent(plugin)) return [];
    if (!isObject(plugin.ipam) || plugin.ipam.type !== "calico-ipam") return [];
    const { requests } = parseConf(plugin) satisfies IpamConf;
    const path = plugin === document ? "" : `plugins[${index}]`;
    return requests.configured.flatMap((wanted) => {
      const text = readFiles(cli, refusalOf(wanted, cli.node));
      return text === undefined ? [] : [{ path, text, effect: "refused" as const }];
    });
  });
}

function* refusalOf(wanted: Wanted, node: string): Transaction<string | undefined> {
  const all = yield* listPools();
  // ADD creates the first pools of a family itself, if all are given as CIDRs.
  const areMade = wanted.pools.every((text) => canonicalPrefix(text) !== undefined);
  if (areMade && !all.pools.some(({ family }) => family === wanted.family)) return undefined;
  try {
    selectPools(all, wanted, yield* readScope(all.pools, node, undefined));
    return undefined;
  } catch (error) {
    if (error instanceof CoreError) return error.message;
    throw error;
  }
}
