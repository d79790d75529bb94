/** The processes of the node, their network namespaces, and the plugins among them. */
import { isErrno, type Sys } from "../../host/sys.ts";

export interface Process {
  readonly pid: number;
  /** The kernel's name, at most 15 characters. */
  readonly name: string;
  /** The inode of its network namespace; `undefined` if the process has ended. */
  readonly netns: number | undefined;
  /** The inode of its mount namespace. */
  readonly mount: number | undefined;
  /** The plugin and command that it executes, from its environment. */
  readonly plugin: PluginWork | undefined;
}

export interface PluginWork {
  readonly command: string;
  readonly containerId: string;
  readonly ifname: string;
}

/** The processes that are visible in this PID namespace. */
export function listProcesses(sys: Sys): readonly Process[] {
  return entriesOf(sys, "/proc").flatMap((name) => {
    const pid = Number(name);
    return Number.isInteger(pid) && pid > 0 ? [processOf(sys, pid)] : [];
  });
}

/** `undefined` if there is no such process. */
export function processName(sys: Sys, pid: number): string | undefined {
  return read(sys, `/proc/${pid}/comm`).trim() || undefined;
}

function processOf(sys: Sys, pid: number): Process {
  return {
    pid,
    name: processName(sys, pid) ?? "",
    netns: inodeOf(sys, `/proc/${pid}/ns/net`),
    mount: inodeOf(sys, `/proc/${pid}/ns/mnt`),
    plugin: pluginWork(read(sys, `/proc/${pid}/environ`)),
  };
}

function pluginWork(environment: string): PluginWork | undefined {
  if (!environment.includes("CNI_COMMAND=")) return undefined;
  const variables = new Map(
    environment.split("\0").map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  const command = variables.get("CNI_COMMAND");
  if (command === undefined) return undefined;
  return {
    command,
    containerId: variables.get("CNI_CONTAINERID") ?? "",
    ifname: variables.get("CNI_IFNAME") ?? "",
  };
}

function entriesOf(sys: Sys, directory: string): readonly string[] {
  try {
    return sys.listDir(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** Empty if the process has ended meanwhile. */
function read(sys: Sys, path: string): string {
  try {
    return sys.readFile(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return "";
    throw error;
  }
}

function inodeOf(sys: Sys, path: string): number | undefined {
  try {
    return sys.stat(path)?.inode;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return undefined;
    throw error;
  }
}
