/** Files under /proc/sys, which show the network namespace of the process that opens them. */
import { isErrno, type Sys } from "../../host/sys.ts";
import type { Place, Sysctl } from "../../plan/resource.ts";
import { isSystemCallError, SystemCallError } from "../errors.ts";
import { differenceSuffix, type Namespaces, placeText } from "../namespaces.ts";

/** Writes them in order. Throws `SystemCallError` for the first that fails and is not optional. */
export function writeSysctls(sysctls: readonly Sysctl[], namespaces: Namespaces): void {
  eachPlace(sysctls, namespaces, (sysctl) => writeSysctl(sysctl, namespaces.sys));
}

/** The differences, in the given order; skips `initial` ones. */
export function diffSysctls(sysctls: readonly Sysctl[], namespaces: Namespaces): ReadonlyMap<Sysctl, string> {
  const texts = new Map<Sysctl, string>();
  const compared = sysctls.filter(({ initial }) => !initial);
  eachPlace(compared, namespaces, (sysctl) => {
    const text = diffSysctl(sysctl, namespaces.sys);
    if (text !== undefined) texts.set(sysctl, text);
  });
  return texts;
}

function eachPlace(sysctls: readonly Sysctl[], namespaces: Namespaces, body: (sysctl: Sysctl) => void): void {
  for (const place of ["host", "sandbox"] satisfies Place[]) {
    const there = sysctls.filter(({ at }) => at === place);
    if (there.length > 0) namespaces.inside(place, () => there.forEach(body));
  }
}

function writeSysctl(sysctl: Sysctl, sys: Sys): void {
  try {
    if (sysctl.ifDifferent && readSysctl(sysctl, sys) === sysctl.value) return;
    sys.writeFile(fileOf(sysctl), sysctl.value);
  } catch (error) {
    // A read-only /proc/sys does not matter if the value is right already.
    if (sysctl.optional || (isErrno(error, "EROFS", "EACCES", "EPERM") && readSysctl(sysctl, sys) === sysctl.value)) {
      return;
    }
    if (!isSystemCallError(error)) throw error;
    const what = `sysctl ${sysctl.path} to "${sysctl.value}"${placeText(sysctl.at)}`;
    throw new SystemCallError(["set", what], error, reasonOf(error, sysctl, sys));
  }
}

function diffSysctl(sysctl: Sysctl, sys: Sys): string | undefined {
  const found = readSysctl(sysctl, sys);
  if (found === sysctl.value || (found === undefined && sysctl.optional)) return undefined;
  const has = found === undefined ? "is missing" : `is "${found}"`;
  return `sysctl ${sysctl.path} ${has}, wanted "${sysctl.value}"${differenceSuffix(sysctl.at)}`;
}

/** The value, with one space between its parts; `undefined` if the file does not exist. */
function readSysctl(sysctl: Sysctl, sys: Sys): string | undefined {
  try {
    return sys.readFile(fileOf(sysctl)).trim().replace(/\s+/g, " ");
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "EACCES")) return undefined;
    throw error;
  }
}

function reasonOf(error: Error, { path }: Sysctl, sys: Sys): string {
  if (isErrno(error, "ENOENT") && path.startsWith("net/ipv6/") && sys.stat("/proc/sys/net/ipv6") === undefined) {
    return "the kernel has no IPv6; load the module or remove the IPv6 addresses from the configuration";
  }
  return error.message;
}

function fileOf({ path }: Sysctl): string {
  return `/proc/sys/${path}`;
}
