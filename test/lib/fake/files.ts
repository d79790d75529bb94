/** A small file system in memory with only files and directories. Strict about what exists. */
import type { FileStat } from "../../../src/host/sys.ts";
import { encodeUtf8 } from "../../../src/net/text.ts";
import { sysError } from "./errno.ts";

interface Node {
  text: string | undefined;
  mode: number;
  inode: number;
  modifiedMs: number;
}

const maxFileBytes = 64 * 1024 * 1024;

export class FakeFiles {
  readonly #nodes = new Map<string, Node>();
  readonly #now: () => number;
  #inode = 1;

  constructor(now: () => number) {
    this.#now = now;
    for (const path of ["/", "/run", "/var", "/var/lib", "/etc", "/proc", "/tmp"]) this.#put(path, undefined, 0o755);
  }

  read(path: string): string {
    const node = this.#node("open", path);
    if (node.text === undefined) throw sysError("EISDIR", "read", path);
    if (node.text.length > maxFileBytes) throw sysError("EFBIG", "read", path);
    return node.text;
  }

  write(path: string, text: string): void {
    const node = this.#node("open", path);
    if (node.text === undefined) throw sysError("EISDIR", "open", path);
    this.#put(path, text, node.mode);
  }

  create(path: string, text: string, mode: number): void {
    if (this.#nodes.has(path)) throw sysError("EEXIST", "link", path);
    this.replace(path, text, mode);
  }

  replace(path: string, text: string, mode: number): void {
    this.#directoryOf("open", path);
    if (this.#nodes.get(path)?.text === undefined && this.#nodes.has(path)) throw sysError("EISDIR", "rename", path);
    this.#put(path, text, mode);
  }

  append(path: string, text: string, mode: number): number {
    const whole = (this.#nodes.get(path)?.text ?? "") + text;
    this.#directoryOf("open", path);
    this.#put(path, whole, this.#nodes.get(path)?.mode ?? mode);
    return encodeUtf8(whole).length;
  }

  /** link(2): another name for the same file. */
  link(from: string, to: string): void {
    const node = this.#node("link", from);
    if (node.text === undefined) throw sysError("EPERM", "link", from);
    if (this.#nodes.has(to)) throw sysError("EEXIST", "link", to);
    this.#directoryOf("link", to);
    this.#nodes.set(to, node);
  }

  rename(from: string, to: string): void {
    const node = this.#node("rename", from);
    this.#directoryOf("rename", to);
    if (this.#nodes.has(to) && (this.#nodes.get(to)?.text === undefined) !== (node.text === undefined)) {
      throw sysError(node.text === undefined ? "ENOTDIR" : "EISDIR", "rename", to);
    }
    // rename(2) does nothing if both names refer to the same file.
    if (this.#nodes.get(to) === node) return;
    for (const path of [...this.#nodes.keys()]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.#nodes.set(to + path.slice(from.length), this.#nodes.get(path) as Node);
      this.#nodes.delete(path);
    }
  }

  removeFile(path: string): void {
    if (this.#node("unlink", path).text === undefined) throw sysError("EISDIR", "unlink", path);
    this.#nodes.delete(path);
  }

  removeDir(path: string): void {
    if (this.#node("rmdir", path).text !== undefined) throw sysError("ENOTDIR", "rmdir", path);
    if (this.list(path).length > 0) throw sysError("ENOTEMPTY", "rmdir", path);
    this.#nodes.delete(path);
  }

  makeDirs(path: string, mode: number): void {
    let directory = "";
    for (const part of path.split("/").filter((name) => name !== "")) {
      directory += `/${part}`;
      const node = this.#nodes.get(directory);
      if (node?.text !== undefined) throw sysError(directory === path ? "EEXIST" : "ENOTDIR", "mkdir", directory);
      if (node === undefined) this.#put(directory, undefined, mode);
    }
  }

  list(path: string): readonly string[] {
    if (this.#node("opendir", path).text !== undefined) throw sysError("ENOTDIR", "opendir", path);
    const prefix = path === "/" ? "/" : `${path}/`;
    return [...this.#nodes.keys()]
      .filter((name) => name.startsWith(prefix) && name.length > prefix.length)
      .map((name) => name.slice(prefix.length))
      .filter((name) => !name.includes("/"));
  }

  stat(path: string): FileStat | undefined {
    const node = this.#nodes.get(path);
    return (
      node && {
        kind: node.text === undefined ? "directory" : "file",
        size: encodeUtf8(node.text ?? "").length,
        mode: node.mode,
        device: 1,
        inode: node.inode,
        modifiedMs: node.modifiedMs,
      }
    );
  }

  /** The paths of all files, sorted. */
  paths(): readonly string[] {
    return [...this.#nodes].flatMap(([path, { text }]) => (text === undefined ? [] : [path])).sort();
  }

  /** Every file as `path: text`, and the empty directories. */
  print(): string {
    const lines = [...this.#nodes]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .flatMap(([path, { text }]) => {
        if (text !== undefined) return [`${path}: ${text.trimEnd()}`];
        return path !== "/" && this.list(path).length === 0 && path.split("/").length > 3 ? [`${path}/`] : [];
      });
    return lines.join("\n");
  }

  #put(path: string, text: string | undefined, mode: number): void {
    this.#nodes.set(path, { text, mode, inode: this.#inode++, modifiedMs: this.#now() });
  }

  #node(syscall: string, path: string): Node {
    const node = this.#nodes.get(path);
    if (node === undefined) throw sysError("ENOENT", syscall, path);
    return node;
  }

  #directoryOf(syscall: string, path: string): void {
    const directory = this.#nodes.get(path.slice(0, path.lastIndexOf("/")) || "/");
    if (directory === undefined) throw sysError("ENOENT", syscall, path);
    if (directory.text !== undefined) throw sysError("ENOTDIR", syscall, path);
  }
}
