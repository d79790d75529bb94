/** Files about attachments below /run/tortie: whole or not there, never fsynced, for they live on a tmpfs as long as what they tell of. */
import { isErrno, type Sys } from "../host/sys.ts";

export const recordMode = 0o600;
const directoryMode = 0o700;
const suffix = ".json";

/** How often one is begun again: whoever counts the records may have taken it for what a killed process left. */
const writeAttempts = 8;

/** Runs `write` until the directory of what it writes is there. */
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

/** That it is gone already is success. */
export function removeRecord(sys: Sys, path: string): void {
  try {
    sys.removeFile(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
  }
}

/** All names, those of files that are just being written included. */
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
