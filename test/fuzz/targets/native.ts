/**
 * The functions of the native host, called with arbitrary arguments: invalid numbers, paths of all kinds, bytes on standard input, in files and
 * in sockets. Each call returns or throws an `Error` that names an errno. All paths are in a directory of this process.
 */
import type { Native } from "../../../src/host/native.ts";
import { Input } from "../input.ts";
import { Finding } from "../judge.ts";

interface Harness {
  setStdin(bytes: Uint8Array): void;
  datagram(bytes: Uint8Array): number;
}

declare const native: Native;
declare const harness: Harness;

const numbers = [0, 1, -1, 0.5, 20, 4096, 2 ** 31, 2 ** 32 + 1, -(2 ** 31), 2 ** 53, 1e300, Number.NaN, -0] as const;
/** Time limits that end at once. */
const waits = [0, -1, 0.2, 1, Number.NaN, Number.NEGATIVE_INFINITY, -1e300] as const;
/** For calls that end as soon as there is data. */
const anyWait = [...waits, 1e12, 1e300, Number.POSITIVE_INFINITY, 2 ** 31] as const;
const names = [
  "a",
  "b",
  "directory",
  "directory/c",
  "directory/deeper/d",
  "link",
  ".",
  "..",
  "",
  "none/e",
  "x".repeat(300),
] as const;

let directory = "";

export function main(bytes: Uint8Array): void {
  const input = new Input(bytes);
  prepare();
  for (let calls = 0; calls < 12 && !input.isEmpty; calls++) {
    const call = input.pick(functions);
    try {
      call(input);
    } catch (error) {
      if (!isExpected(error)) throw error;
    }
  }
}

function isExpected(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return true;
  return error instanceof Error && "code" in error && /^E[A-Z0-9]+$/.test(String(error.code));
}

const functions: readonly ((input: Input) => void)[] = [
  (input) => {
    harness.setStdin(input.piece());
    native.readStdin(input.pick(numbers), input.pick(anyWait));
  },
  (input) => {
    harness.setStdin(input.piece());
    native.readStdinFor(input.pick(numbers), input.pick(waits));
  },
  (input) => {
    harness.setStdin(input.piece());
    native.readStdinPart();
  },
  (input) => native.sleepMs(input.pick(waits)),
  (input) => void native.randomBytes(input.pick(numbers)),
  (input) => void native.readFile(pathOf(input)),
  (input) => native.writeFile(pathOf(input), textOf(input)),
  (input) => native.createFile(pathOf(input), textOf(input), input.pick(numbers)),
  (input) => native.replaceFile(pathOf(input), textOf(input), input.pick(numbers), input.byte() % 2 === 0),
  (input) => {
    const path = pathOf(input);
    const text = textOf(input);
    native.replaceFile(path, text, 0o600, false);
    if (native.readFile(path) !== text) throw new Finding(`another text in ${path}`);
  },
  (input) => void native.appendFile(pathOf(input), textOf(input), input.pick(numbers)),
  (input) => native.rename(pathOf(input), pathOf(input)),
  (input) => native.removeFile(pathOf(input)),
  (input) => native.removeDir(pathOf(input)),
  (input) => native.makeDirs(pathOf(input), input.pick(numbers)),
  (input) => void native.listDir(pathOf(input)),
  (input) => void native.stat(pathOf(input)),
  (input) => {
    const exclusive = input.byte() % 2 === 0;
    const { fd } = native.lock(pathOf(input), exclusive, input.pick(waits));
    if (exclusive) native.unlock(fd);
    else native.closeFd(fd);
  },
  (input) => {
    const argv = ["/bin/true", textOf(input)];
    native.run(argv.slice(0, 1 + (input.byte() % 2)), [textOf(input)], textOf(input), input.pick(anyWait));
  },
  (input) => void native.openNetns(pathOf(input)),
  (input) => {
    const bytes = input.piece();
    const fd = harness.datagram(bytes);
    try {
      const received = native.netlinkReceive(fd, input.pick(waits));
      if (received.join() !== bytes.join()) throw new Finding("another datagram");
    } finally {
      native.closeFd(fd);
    }
  },
  (input) => void native.netlinkReceive(-1, input.pick(anyWait)),
  (input) => native.netlinkSend(-1, input.piece()),
  (input) => native.netlinkJoin(-1, input.pick(numbers)),
  (input) => {
    const fd = harness.datagram(input.piece());
    try {
      if ((native.netlinkWait(fd, input.pick(anyWait)) & 2) === 0) throw new Finding("a datagram that is not there");
    } finally {
      native.closeFd(fd);
    }
  },
  (input) => void native.openNetlink(input.pick([0, 12, -1, 99]), -1),
  (input) => void native.inNetns(-1, () => input),
  (input) => void native.exchange(pathOf(input), textOf(input), input.pick(waits)),
];

/** A directory with a file, a directory and a link to itself; its name contains the process ID. */
function prepare(): void {
  if (directory === "") {
    directory = `/tmp/tortie-fuzz-${native.pid()}`;
    native.makeDirs(`${directory}/directory`, 0o700);
  }
}

function pathOf(input: Input): string {
  const name = input.byte() % 4 === 0 ? textOf(input).replaceAll("/", "_") : input.pick(names);
  return name.includes("..") ? directory : `${directory}/${name}`;
}

/** Any UTF-16, lone surrogates included. */
function textOf(input: Input): string {
  const piece = input.take(input.byte() % 64);
  const wide = input.byte() % 4 === 0;
  let text = "";
  for (let i = 0; i < piece.length; i += wide ? 2 : 1) {
    text += String.fromCharCode(wide ? (piece[i] ?? 0) | ((piece[i + 1] ?? 0) << 8) : (piece[i] ?? 0));
  }
  return text;
}
