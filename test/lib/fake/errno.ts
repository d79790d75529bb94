/** Failures as `Sys` throws them, for the fakes. */
import { errnoOf, errnoText } from "../../../src/netlink/errno.ts";

export function sysError(name: string, syscall: string, object: string): Error & { code: string; syscall: string } {
  return Object.assign(new Error(`${syscall} ${object}: ${wordsOf(name)}`), { code: name, syscall });
}

/** The error of a refused request. The fake kernel's handlers throw thousands of these; an `Error` would capture a stack each time. */
export class Refused {
  readonly errno: number;
  readonly text: string | undefined;

  constructor(name: string, text?: string) {
    this.errno = errnoOf(name);
    this.text = text;
  }
}

function wordsOf(name: string): string {
  try {
    return errnoText(errnoOf(name)).replace(/ \(.*/, "");
  } catch {
    return name;
  }
}
