/** The schemas of results, per version; `convert.ts` has a table of the formats. */
import type { Schema } from "../schema/schema.ts";
import type { CniVersion } from "./version.ts";

/** 0.1.0 and 0.2.0: one address per family. */
export function isOldest(version: CniVersion): boolean {
  return version < "0.3.0";
}

/** 0.3.0 to 0.4.0: addresses have a `version`. (Also true for the oldest versions.) */
export function isOld(version: CniVersion): boolean {
  return version < "1.0.0";
}

export function schemaOf(version: CniVersion): Schema {
  return isOldest(version) ? oldest : current;
}

const string: Schema = { type: "string" };
const integer: Schema = { type: "integer" };
const strings: Schema = { type: "array", items: string };

const dns: Schema = {
  type: "object",
  properties: { nameservers: strings, domain: string, search: strings, options: strings },
};

const routes: Schema = {
  type: "array",
  items: {
    type: "object",
    properties: {
      dst: string,
      gw: string,
      mtu: integer,
      advmss: integer,
      priority: integer,
      table: integer,
      scope: integer,
    },
    required: ["dst"],
  },
};

const family: Schema = {
  type: "object",
  properties: { ip: string, gateway: string, routes },
  required: ["ip"],
};

const oldest: Schema = {
  type: "object",
  properties: { cniVersion: string, ip4: family, ip6: family, dns },
};

const current: Schema = {
  type: "object",
  properties: {
    cniVersion: string,
    interfaces: {
      type: "array",
      items: {
        type: "object",
        properties: { name: string, mac: string, mtu: integer, sandbox: string, socketPath: string, pciID: string },
      },
    },
    ips: {
      type: "array",
      items: {
        type: "object",
        properties: { version: string, interface: integer, address: string, gateway: string },
        required: ["address"],
      },
    },
    routes,
    dns,
  },
};
