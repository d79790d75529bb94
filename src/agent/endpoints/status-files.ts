/**
 * A file for each pod whose interface, addresses and routes are in place, for programs that wait for that (Calico's `endpoint_status_dir`).
 *
 *     <prefix>/endpoint-status/k8s default%2Fnginx eth0      {"ifaceName": "cali…", "mac": "…", "ipv4Nets": ["10.0.0.5/32"], …}
 *
 * Name and content are Felix's. `containerID` is ours: a late DEL of an old sandbox must leave the file of the new one.
 */
import { isErrno, type Sys } from "../../host/sys.ts";
import { familyOf } from "../../net/address.ts";
import { addressOf } from "../../net/prefix.ts";
import type { Workload } from "../workload.ts";
import type { EndpointRecord } from "./record.ts";

interface StatusFile {
  readonly containerID?: string;
}

export class StatusFiles {
  readonly #directory: string;
  readonly #sys: Sys;
  readonly #onFailure: (error: Error) => void;

  /** `prefix`: Felix's `EndpointStatusPathPrefix`. `onFailure`: a file cannot be written or removed, which fails no request: the pod has its network. */
  constructor(prefix: string, sys: Sys, onFailure: (error: Error) => void) {
    this.#directory = `${prefix}/endpoint-status`;
    this.#sys = sys;
    this.#onFailure = onFailure;
  }

  /** A container without a pod has no file. */
  put(record: EndpointRecord): void {
    this.#try(() => this.#write(record));
  }

  /** Removes the file, unless it is of another sandbox. */
  delete(workload: Workload): void {
    this.#try(() => this.#remove(workload));
  }

  #try(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.#onFailure(error as Error);
    }
  }

  #write(record: EndpointRecord): void {
    const path = this.#pathOf(record);
    if (path === undefined) return;
    const { addresses, hostInterface, mac, attachment } = record;
    const nets = (family: 4 | 6) => addresses.filter((net) => familyOf(addressOf(net)) === family);
    const status = {
      ...{ ifaceName: hostInterface, mac, ipv4Nets: nets(4), ipv6Nets: nets(6), bgpPeerName: "" },
      containerID: attachment.containerId,
    };
    this.#sys.makeDirs(this.#directory, 0o755);
    this.#sys.replaceFile(path, JSON.stringify(status), { mode: 0o644, durable: false });
  }

  #remove(workload: Workload): void {
    const path = this.#pathOf(workload);
    if (path === undefined || this.#containerOf(path) !== workload.attachment.containerId) return;
    this.#sys.removeFile(path);
  }

  #pathOf({ pod, attachment }: Workload): string | undefined {
    if (pod === undefined) return undefined;
    const name = ["k8s", `${pod.namespace}/${pod.name}`, attachment.ifname].map(encodeURIComponent).join(" ");
    return `${this.#directory}/${name}`;
  }

  /** `undefined` if there is no file, or one of another program. */
  #containerOf(path: string): string | undefined {
    try {
      return (JSON.parse(this.#sys.readFile(path)) as StatusFile).containerID;
    } catch (error) {
      if (error instanceof SyntaxError || isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
  }
}
