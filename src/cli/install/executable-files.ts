/** What installing needs of the file system beyond `Sys`, which the plugins have too: whole copies and further names of one file. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { dirname } from "node:path";

export interface ExecutableFiles {
  /** The directory of this program's own file, links followed; `undefined` when that cannot be told. */
  readonly ownDirectory: string | undefined;
  /** SHA-256 of a file's bytes. */
  readonly digest: (path: string) => string;
  /** A copy that is executable and on the disk. `to` must not exist. */
  readonly copy: (from: string, to: string) => void;
  /** link(2): another name of the same file. `to` must not exist. */
  readonly link: (from: string, to: string) => void;
  /** The names in a directory are on the disk afterwards. */
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
