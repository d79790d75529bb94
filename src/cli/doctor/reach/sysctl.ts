/** The name of a sysctl for sysctl(8), from its path below /proc/sys: dots for slashes, unless an interface's name contains dots (`eth0.100`). */
export function sysctlName(path: string): string {
  return path.includes(".") ? path : path.replaceAll("/", ".");
}
