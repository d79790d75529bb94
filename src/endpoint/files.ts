/** Files about attachments below /run/tortie: complete or absent, and never fsynced, because they are on a tmpfs. */
import { isErrno, type Sys } from "../host/sys.ts";

export const recordMode = 0o600;
const directoryMode = 0o700;
const suffix = ".json";

/** Retries of a write whose unfinished file `anyEndpoint` removed as a leftover. */
const writeAttempts = 8;

/** Runs `write`, and creates the directory if it is missing. */
export function inDirectory(sys: Sys, directory: string, write: () => void): void {
  for (let attempt = 1; ; attempt++) {
    try {
      write();
      return;
    } catch (error) {
      if (!isErrno(error, "ENOENT") || attempt === writeAttempts) throw error;
      sys.makeDirs(directory, directoryMode);
    }
  }
}

/** A missing file is success. */
export function removeRecord(sys: Sys, path: string): void {
  try {
    sys.removeFile(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
  }
}

/** All names, including those of files that are being written. */
export function namesIn(sys: Sys, directory: string): readonly string[] {
  try {
    return sys.listDir(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

export function isRecord(name: string): boolean {
  return name.endsWith(suffix) && !name.startsWith(".");
}
