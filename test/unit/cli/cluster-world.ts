/** The operator's command on a cluster's datastore in memory. */
import type { ClusterType } from "../../../src/cli/cluster.ts";
import { type Block, newBlock, withSpec } from "../../../src/ipam/model/block.ts";
import type { Kind, StoredObject } from "../../../src/store/object.ts";
import { create, drive, driveAsync } from "../../../src/store/transaction.ts";
import { type MemoryDatastore, memoryDatastore } from "../agent/memory-datastore.ts";
import { World } from "./world.ts";

export class ClusterWorld extends World {
  readonly datastore: MemoryDatastore;

  constructor(type: ClusterType, datastore = memoryDatastore()) {
    super({
      cluster: {
        type,
        place: "memory",
        run: (transaction) => driveAsync(transaction, datastore.store),
        close: async () => undefined,
      },
    });
    this.datastore = datastore;
  }

  put(kind: Kind, name: string, spec: object, metadata = {}): void {
    const object = { apiVersion: "projectcalico.org/v3", kind, metadata: { name, ...metadata }, spec };
    drive(create(object as StoredObject), this.datastore.memory);
  }

  names(kind: Kind): readonly string[] {
    return this.datastore.memory.all(kind).map(({ metadata }) => metadata.name);
  }

  addPool(): void {
    this.put("IPPool", "p", { cidr: "10.0.0.0/24", blockSize: 26, vxlanMode: "Always" });
  }

  addEndpoint(node: string, pod: string, addresses: readonly string[]): void {
    const spec = { orchestrator: "k8s", node, pod, endpoint: "eth0", containerID: `c-${pod}`, ipNetworks: addresses };
    this.put("WorkloadEndpoint", `${node}-k8s-${pod}-eth0`, spec, { namespace: "default" });
  }

  /** A block of a node, its affinity, and an address for each attribute from the first on. */
  addBlock(node: string, cidr: string, attributes: readonly Readonly<Record<string, string>>[]): void {
    const { spec }: Block = newBlock(cidr, `host:${node}`, 1n);
    const block = withSpec(newBlock(cidr, `host:${node}`, 1n), {
      ...spec,
      allocations: spec.allocations.map((_, at) => (at < attributes.length ? at : null)),
      unallocated: spec.unallocated.slice(attributes.length),
      attributes: attributes.map((secondary, at) => ({
        handle_id: `net.${node}-${at}`,
        secondary: { node, ...secondary },
      })),
    });
    drive(create(block), this.datastore.memory);
    for (const at of attributes.keys()) {
      this.put("IPAMHandle", `net.${node}-${at}`, {
        handleID: `net.${node}-${at}`,
        block: { [cidr]: 1 },
        deleted: false,
      });
    }
    const name = `${node}-${cidr.replace(/[./]/g, "-")}`;
    this.put("BlockAffinity", name, { cidr, node, state: "confirmed", type: "host", deleted: "false" });
  }
}
