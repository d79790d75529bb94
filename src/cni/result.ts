/** Results in one internal format (that of 1.1.0, with its spelling of keys), converted to every version at the edge. */

export interface Result {
  readonly interfaces?: readonly Interface[];
  readonly ips?: readonly IpConfig[];
  readonly routes?: readonly RouteConfig[];
  readonly dns?: Dns;
  /** Unknown keys are passed on unchanged. */
  readonly [unknown: string]: unknown;
}

export interface Interface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** The path of the sandbox's namespace; absent or empty for an interface of the host. */
  readonly sandbox?: string;
  readonly socketPath?: string;
  readonly pciID?: string;
  readonly [unknown: string]: unknown;
}

export interface IpConfig {
  /** With its prefix length: `"10.1.0.5/32"`. */
  readonly address: string;
  readonly gateway?: string;
  /** Index into `interfaces`. */
  readonly interface?: number;
  readonly [unknown: string]: unknown;
}

export interface RouteConfig {
  readonly dst: string;
  readonly gw?: string;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
  readonly [unknown: string]: unknown;
}

export interface Dns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}
