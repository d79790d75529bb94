/**
 * Plugins that stand in for a delegate: each records its calls and gives a configured answer.
 *
 *     /run/.node/doubles/<type>             the executable
 *     /run/.node/doubles/<type>.d/calls     one directory per call, 1, 2, …: env, stdin, fds
 *
 * They are outside of all directories that a snapshot looks at.
 */
import type { JsonObject } from "../lib/conflist.ts";
import type { Node } from "../lib/node/netns.ts";

export const doublesDirectory = "/run/.node/doubles";

export interface Double {
  readonly type: string;
  /** The output on ADD, byte for byte. */
  readonly answer?: string;
  /** The exit code with `answer`. */
  readonly status?: number;
  /** The output on stderr, for every command. */
  readonly stderr?: string;
  /** A command other than ADD that it answers with this error object. */
  readonly refuses?: { readonly command: string; readonly error: JsonObject };
  /** Kills itself on ADD instead of answering. */
  readonly dies?: boolean;
}

export interface DoubleCall {
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  /** Inherited descriptors other than 0, 1 and 2. */
  readonly descriptors: readonly number[];
}

export function place(node: Node, double: Double): void {
  const { type, answer = "", status = 0, stderr = "", refuses, dies = false } = double;
  const home = `${doublesDirectory}/${type}.d`;
  const script = `#!/bin/sh
n=1
while ! mkdir ${home}/calls/$n 2>/dev/null; do n=$((n + 1)); done
call=${home}/calls/$n
ls /proc/$$/fd > $call/fds
env > $call/env
cat > $call/stdin
cat ${home}/stderr >&2
case $CNI_COMMAND in
  ADD) ${dies ? "kill -9 $$" : `cat ${home}/answer; exit ${status}`} ;;
  ${refuses?.command ?? "-"}) cat ${home}/refusal; exit 1 ;;
esac
`;
  const write = (path: string, text: string) => node.sh(`cat > ${path}`, { stdin: text });
  node.sh(`rm -rf ${home}; mkdir -p ${home}/calls`);
  write(`${home}/answer`, answer);
  write(`${home}/stderr`, stderr);
  write(`${home}/refusal`, JSON.stringify(refuses?.error ?? {}));
  write(`${doublesDirectory}/${type}`, script);
  node.sh(`chmod 755 ${doublesDirectory}/${type}`);
}

/** The calls of the double so far, in order. */
export function callsOf(node: Node, type: string): readonly DoubleCall[] {
  const calls = `${doublesDirectory}/${type}.d/calls`;
  const numbers = node.sh(`ls ${calls} | sort -n`).trim().split("\n").filter(Boolean);
  return numbers.map((number) => {
    const read = (name: string) => node.sh(`cat ${calls}/${number}/${name}`);
    const lines = read("env").trim().split("\n");
    return {
      env: Object.fromEntries(
        lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
      ),
      stdin: read("stdin"),
      descriptors: read("fds")
        .trim()
        .split("\n")
        .map(Number)
        .filter((descriptor) => descriptor > 2),
    };
  });
}
