/** The types of settings, as zod types of an environment variable's text. Messages name the expected value. */
import * as z from "zod";
import { interfaceFilter, portRange } from "../../cluster-network/network-settings.ts";
import { InvalidRequest } from "../../ipam/invalid-request.ts";
import { parseSelector } from "../../ipam/model/selector.ts";
import { canonicalAddress, type Family, familyOf } from "../../net/address.ts";
import { isDnsSubdomain } from "../../net/dns-name.ts";
import { canonicalPrefix, maskPrefix } from "../../net/prefix.ts";
import { type Method, parseMethod } from "../address/method.ts";

export const text = z.string();
export const nodeName = z.string().refine(isDnsSubdomain, 'lower-case letters, digits, "-" and "."');
export const path = z.string().startsWith("/", "an absolute path");

/** The words that Go and Calico accept. */
const yes = /^(true|yes|1|t|y)$/i;
const no = /^(false|no|0|f|n)$/i;
export const yesOrNo = z
  .string()
  .refine((value) => yes.test(value) || no.test(value), "true or false")
  .transform((value) => yes.test(value));

/** 0: the default. */
export const mtu = numberBetween(0, 65_535, "an MTU");

export const backend = z.enum(["vxlan", "bird", "none"], "vxlan, bird or none");
export const clusterRoutes = z.enum(["Enabled", "EnabledIPIPOnly", "Disabled"], "Enabled, EnabledIPIPOnly or Disabled");

export const natExclusions = z.enum(["IPPoolsOnly", "IPPoolsAndHostIPs"], "IPPoolsOnly or IPPoolsAndHostIPs");
export const enabled = z.enum(["Enabled", "Disabled"], "Enabled or Disabled");
export const spoofing = z.enum(["Any", "Disabled"], "Any or Disabled");
export const ports = read(portRange, "a port or a range of ports such as 32768:65000");
export const address = read(canonicalAddress, "an IP address");
export const outInterface = read(interfaceFilter, "the name of an interface, or the beginning of names and +");

/** What a function makes of the text; it returns `undefined` for a text that is not valid. */
function read(parse: (value: string) => string | undefined, wanted: string) {
  return z
    .string()
    .refine((value) => parse(value) !== undefined, wanted)
    .transform((value) => parse(value) ?? value);
}

export const routerId = z
  .string()
  .refine((value) => value === "hash" || isRouterId(value), "hash, or a number written as an IPv4 address");

function isRouterId(value: string): boolean {
  const address = canonicalAddress(value);
  return address !== undefined && familyOf(address) === 4 && address !== "0.0.0.0";
}

const seconds = { h: 3600, m: 60, s: 1 } as const;
const durationForm = /^(?:0|(?:\d+[hms])+)$/;

/** As Go writes it, in whole seconds: `1m30s`. Becomes milliseconds, at most a day. */
export const duration = z
  .string()
  .refine((value) => durationForm.test(value) && msOf(value) <= 86_400_000, "a duration such as 90s or 5m, at most 24h")
  .transform(msOf);

function msOf(value: string): number {
  const parts = [...value.matchAll(/(\d+)([hms])/g)];
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * seconds[unit as keyof typeof seconds] * 1000, 0);
}

export const port = numberBetween(1, 65535, "a port");

export function numberBetween(minimum: number, maximum: number, what = "a number") {
  return z
    .string()
    .refine(
      (value) => /^[0-9]+$/.test(value) && Number(value) >= minimum && Number(value) <= maximum,
      `${what} from ${minimum} to ${maximum}`,
    )
    .transform(Number);
}

/** Calico's names of log levels, mapped to pino's. */
const levels = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warning: "warn",
  warn: "warn",
  error: "error",
  fatal: "fatal",
} as const;
export type LogLevel = (typeof levels)[keyof typeof levels];
export const logLevel = z
  .string()
  .toLowerCase()
  .pipe(z.enum(Object.keys(levels) as (keyof typeof levels)[], "debug, info, warning, error or fatal"))
  .transform((level) => levels[level]);

/** `none`, `autodetect`, or an address with or without a prefix length. */
export function ownAddress(family: Family) {
  return z
    .string()
    .refine(
      (value) => value === "none" || value === "autodetect" || addressIn(value, family) !== undefined,
      `autodetect, none, or an IPv${family} address`,
    )
    .transform((value) => addressIn(value, family) ?? value);
}

function addressIn(value: string, family: Family): string | undefined {
  const found = value.includes("/") ? canonicalPrefix(value) : canonicalAddress(value);
  return found !== undefined && familyOf(found) === family ? found : undefined;
}

export const method = z.string().transform((value, context): Method => {
  const parsed = parseMethod(value);
  if ("kind" in parsed) return parsed;
  context.addIssue(parsed.wanted);
  return z.NEVER;
});

/** The CIDR of a pool, or `none`. */
export function poolCidr(family: Family) {
  const isCidr = (value: string) => {
    const cidr = canonicalPrefix(value);
    return cidr !== undefined && familyOf(cidr) === family && maskPrefix(cidr) === cidr;
  };
  return z
    .string()
    .refine((value) => value === "none" || isCidr(value), `none, or an IPv${family} CIDR without host bits`)
    .transform((value) => canonicalPrefix(value) ?? value);
}

const modes = {
  off: "Never",
  never: "Never",
  crosssubnet: "CrossSubnet",
  "cross-subnet": "CrossSubnet",
  always: "Always",
} as const;
export const encapsulation = z
  .string()
  .toLowerCase()
  .pipe(z.enum(Object.keys(modes) as (keyof typeof modes)[], "Never, CrossSubnet or Always"))
  .transform((mode) => modes[mode]);

export const selector = z.string().check((context) => {
  try {
    parseSelector(context.value);
  } catch (error) {
    if (!(error instanceof InvalidRequest)) throw error;
    context.issues.push({
      code: "custom",
      message: `a selector such as all() (${error.message})`,
      input: context.value,
    });
  }
});
