/**
 * Reads a request of the node agent. Addresses must be canonical, as everywhere in a plan: a route that is compared with the kernel's by its text
 * would otherwise be replaced each time.
 */
import { CoreError } from "../errors/core-error.ts";
import { canonicalAddress } from "../net/address.ts";
import { canonicalMac } from "../net/mac.ts";
import { canonicalPrefix } from "../net/prefix.ts";
import type { NodeResourceKind, Scope } from "../plan/node-plan.ts";
import { type NetRequest, netProtocolVersion } from "./messages.ts";

/** The text is not a request of this version. */
export class BadRequest extends CoreError {
  override readonly name = "BadRequest";
  readonly kind = "invalid";
  /** The request's number, if it could be read. */
  readonly id: number | undefined;

  constructor(reason: string, id?: number) {
    super(`cannot read the request: ${reason}`);
    this.id = id;
  }
}

type Check = (value: unknown) => boolean;
/** The fields of an object by name; one whose name ends in "?" may be absent. */
type Shape = Readonly<Record<string, Check>>;

const text: Check = (value) => typeof value === "string" && value !== "";
const flag: Check = (value) => typeof value === "boolean";
const list: Check = Array.isArray;
const number: Check = (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 32;
const canonical =
  (form: (value: string) => string | undefined): Check =>
  (value) =>
    typeof value === "string" && form(value) === value;
const address = canonical(canonicalAddress);
const prefix = canonical(canonicalPrefix);
const mac = canonical(canonicalMac);
const oneOf =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value);
/** IFNAMSIZ, and neither a path nor the end of one: a name becomes a part of a path below /proc/sys. */
const linkName: Check = (value) => typeof value === "string" && /^(?!\.\.?$)[^\s/]{1,15}$/.test(value);
/** Below /proc/sys. */
const path: Check = (value) => typeof value === "string" && /^(?!.*(^|\/)\.\.?(\/|$))[^/].*$/.test(value);
const table: Check = (value) => typeof value === "string" && /^[\w./-]{1,255}$/.test(value);
const tableFamily = oneOf("ip", "ip6");
const host = oneOf("host");

const resourceShapes: { readonly [K in NodeResourceKind]: Shape } = {
  sysctl: { at: host, path, value: text, "optional?": flag, "ifDifferent?": flag },
  "nft-table": { family: tableFamily, name: table, sets: list, chains: list },
  "nft-elements": {
    family: tableFamily,
    table,
    set: table,
    elements: list,
    "shared?": flag,
    "digest?": flag,
    "onlyIfOutdated?": flag,
    "forgetsFlows?": flag,
  },
  vxlan: {
    at: host,
    name: linkName,
    vni: (value) => number(value) && (value as number) < 2 ** 24,
    port: (value) => number(value) && (value as number) < 2 ** 16,
    local: address,
    device: linkName,
    mac,
    mtu: number,
    "checksumOffload?": oneOf(false),
  },
  ipip: { at: host, name: linkName, mtu: number },
  address: { at: host, link: linkName, address: prefix, "noDad?": flag, "noPrefixRoute?": flag },
  neighbour: { at: host, link: linkName, address, mac },
  fdb: { at: host, link: linkName, mac, destination: address },
  route: {
    at: host,
    link: linkName,
    destination: prefix,
    "gateway?": address,
    "scope?": (value) => number(value) || oneOf("link", "global", "host", "site")(value),
    "source?": address,
    "priority?": number,
    "table?": number,
    "mtu?": number,
    "advmss?": number,
    "protocol?": number,
    "onlink?": flag,
  },
  blackhole: { at: host, destination: prefix, protocol: number },
};

const scopeShapes: { readonly [K in Scope["kind"]]: Shape } = {
  routes: { protocol: number, table: number, family: oneOf(4, 6) },
  link: { link: linkName },
  device: { name: linkName },
  elements: { family: tableFamily, table, set: table },
  table: { family: tableFamily, name: table },
};

/** Throws `BadRequest`. */
export function parseRequest(text: string): NetRequest {
  const document = jsonOf(text);
  const reason = faultIn(document);
  if (reason === undefined) return document as unknown as NetRequest;
  throw new BadRequest(reason, typeof document.id === "number" ? document.id : undefined);
}

function jsonOf(text: string): Readonly<Record<string, unknown>> {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new BadRequest(`it is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (isObject(document)) return document;
  throw new BadRequest("it is not a JSON object");
}

function faultIn({ version, plan, add, remove }: Readonly<Record<string, unknown>>): string | undefined {
  if (version !== netProtocolVersion) return `it has version ${JSON.stringify(version)}, wanted ${netProtocolVersion}`;
  if (plan === undefined) {
    return faultInList(add, "add", resourceShapes) ?? faultInList(remove, "remove", resourceShapes);
  }
  if (!isObject(plan)) return "plan is not an object";
  return (
    faultInList(plan.resources, "plan.resources", resourceShapes) ??
    faultInList(plan.scopes, "plan.scopes", scopeShapes)
  );
}

function faultInList(value: unknown, place: string, shapes: Readonly<Record<string, Shape>>): string | undefined {
  if (!Array.isArray(value)) return `${place} is not a list`;
  for (const [at, one] of value.entries()) {
    const kind = isObject(one) ? one.kind : undefined;
    const shape = typeof kind === "string" && Object.hasOwn(shapes, kind) ? shapes[kind] : undefined;
    if (shape === undefined) return `${place}[${at}] has kind ${JSON.stringify(kind)}`;
    const wrong = wrongField(one, shape);
    if (wrong !== undefined) return `${place}[${at}].${wrong} is ${JSON.stringify(one[wrong])}`;
  }
  return undefined;
}

function wrongField(one: Readonly<Record<string, unknown>>, shape: Shape): string | undefined {
  for (const field in shape) {
    const isOptional = field.endsWith("?");
    const name = isOptional ? field.slice(0, -1) : field;
    const value = one[name];
    if (value === undefined ? !isOptional : !(shape[field] as Check)(value)) return name;
  }
  return undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
