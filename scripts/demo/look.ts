/** How the demo looks at its node: by commands, pings and questions, each shown with what really came back. */
import { join } from "node:path";
import type { Node } from "../../test/lib/node/netns.ts";
import { ask } from "../../test/lib/node/traffic.ts";
import { root } from "../../test/lib/suite.ts";
import { output, prompt, verdict } from "./screen.ts";

const tortie = `${process.execPath} ${join(root, "dist/tortie.js")}`;

export interface CommandOptions {
  /** A pod, or "outside"; the node itself when absent. */
  readonly in?: string;
  /** Exit statuses that are not a failure; 0 when absent. */
  readonly statuses?: readonly number[];
}

/** Runs a command and shows it with what it wrote. Throws when its status is another than expected. */
export function command(node: Node, script: string, { in: where, statuses = [0] }: CommandOptions = {}): void {
  prompt(where ?? node.name, script);
  const argv = ["/bin/sh", "-c", script.replace(/^tortie /, `${tortie} `)];
  const { status, stdout, stderr } = node.run(argv, where === undefined ? {} : { in: where });
  const text = (stdout + stderr).trimEnd();
  if (text !== "") output(text);
  if (status === undefined || !statuses.includes(status)) throw new Error(`${script} ended with status ${status}`);
}

export function pinged(node: Node, from: string | undefined, address: string): void {
  const where = from === undefined ? {} : { in: from };
  const { status, stdout } = node.run(["ping", "-n", "-c", "1", "-W", "2", address], where);
  const line = stdout.split("\n").find((each) => each.includes("bytes from")) ?? "no answer";
  verdict(status === 0, `${from ?? "node"} -> ${address}: ${line}`);
}

/** Asks a server whom it sees; the answer must begin as wanted. */
export function asked(node: Node, from: string | undefined, host: string, port: number, wanted: string): void {
  const answer = answerOf(node, from, host, port);
  verdict(answer.startsWith(wanted), `${from ?? "node"} -> ${host}:${port}: "${answer}"`);
}

/** Asks a server that must not answer. */
export function refused(node: Node, from: string | undefined, host: string, port: number): void {
  let answer: string | undefined;
  try {
    answer = ask(node, from, host, port);
  } catch {
    // As expected.
  }
  verdict(
    answer === undefined,
    `${from ?? "node"} -> ${host}:${port}: ${answer === undefined ? "no answer" : `"${answer}"`}`,
  );
}

function answerOf(node: Node, from: string | undefined, host: string, port: number): string {
  try {
    return ask(node, from, host, port);
  } catch (error) {
    return (error as Error).message;
  }
}
