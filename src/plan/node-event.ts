/** What happens on a node, as plain readonly data: what the kernel tells of its own accord. */

/** `new`: created or changed. */
export type NodeChange = "new" | "gone";

export type NodeEvent =
  | {
      readonly event: "link";
      readonly change: NodeChange;
      readonly name: string;
      readonly index: number;
      readonly up: boolean;
      readonly mtu: number;
      readonly mac?: string;
    }
  /** With its prefix length. */
  | { readonly event: "address"; readonly change: NodeChange; readonly link: string; readonly address: string }
  /** A route of a scope of the plan, or one with the identity of a planned route. */
  | {
      readonly event: "route";
      readonly change: NodeChange;
      readonly destination: string;
      readonly protocol: number;
      readonly link?: string;
      readonly gateway?: string;
    }
  /** On a tunnel device. */
  | {
      readonly event: "neighbour";
      readonly change: NodeChange;
      readonly link: string;
      readonly address: string;
      readonly mac?: string;
    }
  /** On a tunnel device. */
  | {
      readonly event: "fdb";
      readonly change: NodeChange;
      readonly link: string;
      readonly mac: string;
      readonly destination?: string;
    }
  /** The kernel dropped events. What they were about is compared with the plan. */
  | { readonly event: "lost" };
