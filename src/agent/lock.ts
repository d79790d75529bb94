/** One agent per socket: the kernel releases the lock of a killed agent. Never change the path: it keeps agents of different releases apart. */
import { CoreError } from "../errors/core-error.ts";
import { isErrno, type Sys } from "../host/sys.ts";

class AlreadyRunning extends CoreError {
  override readonly name = "AlreadyRunning";
  readonly kind = "conflict";

  constructor(path: string) {
    super(`cannot start: another tortie-node holds "${path}"; stop it first`);
  }
}

/** Returns a function that releases the lock. Throws `AlreadyRunning`, or `EPERM` if others may write to the directory. */
export function lockAgent(path: string, sys: Sys): () => void {
  const directory = path.slice(0, path.lastIndexOf("/"));
  sys.trustDirectory(directory);
  sys.makeDirs(directory, 0o700);
  try {
    const lock = sys.lock(path, "exclusive", 0);
    return () => sys.unlock(lock);
  } catch (error) {
    if (isErrno(error, "ETIMEDOUT")) throw new AlreadyRunning(path);
    throw error;
  }
}
