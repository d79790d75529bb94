/** A `Sys` that redirects `/run/tortie` and `/var/lib/tortie` to other directories. */
import type { Sys } from "../../host/sys.ts";
import { runDir, stateDir } from "../../identity/names.ts";

export interface StoreDirectories {
  /** Instead of `/run/tortie`. */
  readonly run: string;
  /** Instead of `/var/lib/tortie`. */
  readonly state: string;
}

export const defaultDirectories: StoreDirectories = { run: runDir, state: stateDir };

/** `onRead` is called before each file is read. */
export function redirectedSys(sys: Sys, directories: StoreDirectories, onRead: () => void): Sys {
  const place = (path: string) =>
    moved(path, runDir, directories.run) ?? moved(path, stateDir, directories.state) ?? path;
  return {
    ...sys,
    readFile: (path, links) => {
      onRead();
      return sys.readFile(place(path), links);
    },
    writeFile: (path, text) => sys.writeFile(place(path), text),
    createFile: (path, text, mode) => sys.createFile(place(path), text, mode),
    replaceFile: (path, text, options) => sys.replaceFile(place(path), text, options),
    appendFile: (path, text, mode) => sys.appendFile(place(path), text, mode),
    rename: (from, to) => sys.rename(place(from), place(to)),
    removeFile: (path) => sys.removeFile(place(path)),
    removeDir: (path) => sys.removeDir(place(path)),
    makeDirs: (path, mode) => sys.makeDirs(place(path), mode),
    listDir: (path) => sys.listDir(place(path)),
    stat: (path) => sys.stat(place(path)),
    trustDirectory: (path) => sys.trustDirectory(place(path)),
    lock: (path, mode, timeoutMs) => sys.lock(place(path), mode, timeoutMs),
  };
}

function moved(path: string, from: string, to: string): string | undefined {
  return path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : undefined;
}
