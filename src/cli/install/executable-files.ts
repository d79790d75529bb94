/** File operations of `tortie install` that `Sys` does not have: copies, hard links, digests. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { dirname } from "node:path";

export interface ExecutableFiles {
  /** The directory of this program's own file, with symbolic links resolved; `undefined` if unknown. */
  readonly ownDirectory: string | undefined;
  /** SHA-256 of a file's bytes. */
  readonly digest: (path: string) => string;
  /** Copies a file, makes it executable and syncs it. `to` must not exist. */
  readonly copy: (from: string, to: string) => void;
  /** link(2): another name of the same file. `to` must not exist. */
  readonly link: (from: string, to: string) => void;
  /** Syncs a directory. */
  readonly syncDirectory: (directory: string) => void;
}

export const nodeExecutableFiles: ExecutableFiles = {
  get ownDirectory() {
    const [, program] = process.argv;
    return program === undefined ? undefined : dirname(fs.realpathSync(program));
  },
  digest: (path) => createHash("sha256").update(fs.readFileSync(path)).digest("hex"),
  copy(from, to) {
    fs.copyFileSync(from, to, fs.constants.COPYFILE_EXCL);
    withFile(to, "r+", (fd) => {
      fs.fchmodSync(fd, 0o755);
      fs.fsyncSync(fd);
    });
  },
  link: fs.linkSync,
  syncDirectory: (directory) => withFile(directory, "r", fs.fsyncSync),
};

function withFile(path: string, flags: string, body: (fd: number) => void): void {
  const fd = fs.openSync(path, flags);
  try {
    body(fd);
  } finally {
    fs.closeSync(fd);
  }
}
