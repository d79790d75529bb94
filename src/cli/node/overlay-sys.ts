/**
 * A `Sys` that keeps writes in memory, over the node's files.
 *
 *     read ──► written before? ──yes──► memory
 *                    └──no──► the node
 *
 * For code that runs a plugin's own steps to find out what they would do. It has no standard input, and refuses sockets, programs and writes to
 * /proc/sys and /sys, so it does not change the kernel.
 */
import type { FileStat, Sys } from "../../host/sys.ts";

const directoryMode = 0o700;

export function overlaySys(sys: Sys): Sys {
  /** `undefined`: removed. The number changes with each write, as an inode does. */
  const files = new Map<string, { readonly text: string; readonly inode: number } | undefined>();
  let writings = 0;
  const directories = new Set<string>();
  const textOf = (path: string) => files.get(path)?.text;
  const isThere = (path: string) => (files.has(path) ? files.get(path) !== undefined : sys.stat(path) !== undefined);
  const keep = (path: string, text: string) => {
    refuseKernel(path);
    files.set(path, { text, inode: ++writings });
    directories.add(path.slice(0, path.lastIndexOf("/")));
  };
  return {
    ...sys,
    readFile: (path, links) => {
      if (!files.has(path)) return sys.readFile(path, links);
      return textOf(path) ?? fail("ENOENT", "open", path);
    },
    writeFile: keep,
    createFile: (path, text) => {
      if (isThere(path)) fail("EEXIST", "open", path);
      keep(path, text);
    },
    replaceFile: keep,
    appendFile: (path, text) => {
      const whole = (isThere(path) ? (textOf(path) ?? "") : "") + text;
      keep(path, whole);
      return whole.length;
    },
    rename: (from, to) => {
      keep(to, files.has(from) ? (textOf(from) ?? fail("ENOENT", "rename", from)) : sys.readFile(from));
      files.set(from, undefined);
    },
    removeFile: (path) => {
      if (!isThere(path)) fail("ENOENT", "unlink", path);
      files.set(path, undefined);
    },
    removeDir: (path) => void directories.delete(path),
    makeDirs: (path) => void directories.add(path),
    listDir: (path) => namesIn(path),
    stat: (path) => {
      if (!files.has(path)) return sys.stat(path) ?? (directories.has(path) ? statOf("directory", "", 0) : undefined);
      const file = files.get(path);
      return file && statOf("file", file.text, file.inode);
    },
    trustDirectory: (path) => sys.trustDirectory(path),
    lock: (_, mode) => ({ fd: -1, mode, abandoned: false }),
    unlock: () => {},
    run: (argv) => fail("EPERM", "execve", argv[0] ?? ""),
    openNetlink: () => fail("EPERM", "socket", "netlink"),
    write: () => {},
  };

  function namesIn(path: string): readonly string[] {
    const written = [...files.keys()].filter(
      (file) => file.startsWith(`${path}/`) && !file.slice(path.length + 1).includes("/"),
    );
    if (sys.stat(path) === undefined && written.length === 0 && !directories.has(path)) fail("ENOENT", "opendir", path);
    const there = sys.stat(path) === undefined ? [] : sys.listDir(path).filter((name) => !files.has(`${path}/${name}`));
    return [...there, ...written.filter(isThere).map((file) => file.slice(path.length + 1))];
  }
}

function refuseKernel(path: string): void {
  if (/^\/(proc|sys)\//.test(path)) fail("EPERM", "open", path);
}

function statOf(kind: "file" | "directory", text: string, inode: number): FileStat {
  return { kind, size: text.length, mode: directoryMode, device: 0, inode, modifiedMs: 0 };
}

function fail(code: string, syscall: string, object: string): never {
  throw Object.assign(new Error(`${syscall} ${object}: ${code}`), { code, syscall });
}
