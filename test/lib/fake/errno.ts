/** Failures as `Sys` throws them, for the fakes. */
import { errnoOf, errnoText } from "../../../src/netlink/errno.ts";

export function sysError(name: string, syscall: string, object: string): Error & { code: string; syscall: string } {
  return Object.assign(new Error(`${syscall} ${object}: ${wordsOf(name)}`), { code: name, syscall });
}

/** What a request is answered with; thrown by the fake kernel's handlers, thousands of times: no `Error`, which would take its stack. */
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
