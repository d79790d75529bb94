/** Endpoint records as resources. They are not part of the datastore: the plugin writes them, one file each. */

import {
  decodeEndpoint,
  type Endpoint,
  endpointDirectory,
  removeEndpoint,
  type WorkloadEndpoint,
  writeEndpoint,
} from "../../endpoint/endpoint.ts";
import { isErrno } from "../../host/sys.ts";
import { attachmentKey } from "../../identity/attachment.ts";
import { addressOf } from "../../net/prefix.ts";
import type { Cli } from "../cli.ts";
import { CliError, messageOf } from "../error.ts";
import { listProcesses } from "../node/processes.ts";
import { sandboxLookup } from "../node/sandbox-lookup.ts";
import { nameOf, type Resource } from "./resource.ts";
import { schemaFaults } from "./schema.ts";
import type { Change, Verb } from "./write.ts";

/** Every record as stored; names unreadable ones on stderr. */
export function listEndpointResources(cli: Cli): readonly Resource[] {
  return fileNames(cli).flatMap((file) => {
    const path = `${endpointDirectory}/${file}`;
    try {
      return [JSON.parse(cli.sys.readFile(path)) as Resource];
    } catch (error) {
      if (isErrno(error, "ENOENT")) return [];
      cli.note(`tortie: left out: cannot read "${path}": ${messageOf(error)}`);
      return [];
    }
  });
}

function fileNames({ sys }: Cli): readonly string[] {
  try {
    const names = sys.listDir(endpointDirectory).filter((name) => name.endsWith(".json") && !name.startsWith("."));
    return names.sort();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** Plans a write; calling `perform` executes it. Throws `CliError` with all errors. */
export function planEndpointWrite(cli: Cli, verb: Verb, resource: Resource): Change & { readonly execute: () => void } {
  const refuse = (reason: string) => new CliError(`cannot ${verb} ${nameOf(resource)}: ${reason}`);
  const faults = schemaFaults(resource);
  if (faults.length > 0) throw refuse(faults.join("; "));
  const endpoint = decode(resource);
  if (endpoint === undefined) throw refuse('its metadata.annotations hold no "tortie/network"');
  const all = listEndpointResources(cli).flatMap((other) => decode(other) ?? []);
  const key = attachmentKey(endpoint.attachment);
  const stored = all.find(({ attachment }) => attachmentKey(attachment) === key);
  if (verb === "create" && stored !== undefined) throw refuse("it exists already; use apply or replace");
  if (verb === "replace" && stored === undefined) throw refuse("it does not exist; use apply or create");
  const collision = all.map((other) => (other === stored ? undefined : collisionOf(endpoint, other))).find(Boolean);
  if (collision !== undefined) throw refuse(collision);
  const unchanged = stored !== undefined && JSON.stringify(stored) === JSON.stringify(endpoint);
  return {
    action: unchanged ? "unchanged" : stored === undefined ? "created" : "updated",
    resource,
    execute: () => {
      if (!unchanged) writeEndpoint(cli.sys, endpoint);
    },
  };
}

/** `<name>` or, if namespaces share it, `<namespace>/<name>`. A live sandbox needs its record, so its deletion must be forced. */
export function planEndpointDelete(cli: Cli, name: string, force: boolean): Change & { readonly execute: () => void } {
  const resource = { kind: "WorkloadEndpoint" as const, metadata: { name } };
  const refuse = (reason: string) => new CliError(`cannot delete ${nameOf(resource)}: ${reason}`);
  const all = listEndpointResources(cli);
  const found = all.filter((one) => isNamed(one, name));
  const [only] = found;
  if (only === undefined) {
    const ofPod = all.filter((one) => isOfPod(one, name)).map(qualifiedName);
    throw refuse(ofPod.length === 0 ? "there is none" : `it is a pod's name; its endpoints are ${ofPod.join(", ")}`);
  }
  if (found.length > 1) {
    throw refuse(
      `${found.length} have this name; use <namespace>/<name> with one of ${found.map(qualifiedName).join(", ")}`,
    );
  }
  const endpoint = decode(only);
  if (endpoint === undefined) throw refuse("it is not a record of Tortie");
  const sandbox = force ? "gone" : sandboxLookup(cli.sys, listProcesses(cli.sys)).sandboxOf(endpoint);
  if (sandbox !== "gone") {
    throw refuse(
      `its sandbox "${endpoint.netns}" ${sandbox === "there" ? "is there" : "is not visible from here"} (pass --force)`,
    );
  }
  return { action: "deleted", resource: only, execute: () => removeEndpoint(cli.sys, endpoint.attachment) };
}

export function isNamed(resource: Resource, name: string): boolean {
  return resource.metadata.name === name || qualifiedName(resource) === name;
}

/** Whether it is an endpoint of the pod `<name>` or `<namespace>/<name>`. */
export function isOfPod({ metadata, spec }: Resource, name: string): boolean {
  const { pod } = spec as { readonly pod?: unknown };
  return typeof pod === "string" && (pod === name || `${metadata.namespace}/${pod}` === name);
}

function qualifiedName({ metadata }: Resource): string {
  return `${metadata.namespace}/${metadata.name}`;
}

function decode(resource: Resource): Endpoint | undefined {
  try {
    return decodeEndpoint(resource as unknown as WorkloadEndpoint);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

function collisionOf(one: Endpoint, other: Endpoint): string | undefined {
  const taken = new Set(other.addresses.map(addressOf));
  const address = one.addresses.map(addressOf).find((candidate) => taken.has(candidate));
  const owner = `container "${other.attachment.containerId}" ${other.attachment.ifname}`;
  if (address !== undefined) return `its address ${address} is that of ${owner}`;
  return one.hostInterface === other.hostInterface
    ? `its interfaceName ${one.hostInterface} is that of ${owner}`
    : undefined;
}
