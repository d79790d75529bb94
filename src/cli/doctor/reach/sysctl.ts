/** The name of a sysctl for sysctl(8), out of its path below /proc/sys: dots for slashes, but where an interface's name holds dots (`eth0.100`). */
export function sysctlName(path: string): string {
  return path.includes(".") ? path : path.replaceAll("/", ".");
}
