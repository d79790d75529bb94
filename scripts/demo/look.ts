/** How the demo inspects its node: commands, pings and requests, each shown with the actual output. */
import { join } from "node:path";
import type { Node } from "../../test/lib/node/netns.ts";
import { ask } from "../../test/lib/node/traffic.ts";
import { root } from "../../test/lib/suite.ts";
import { expected, output, prompt } from "./screen.ts";

const tortie = `${process.execPath} ${join(root, "dist/tortie.js")}`;

export interface CommandOptions {
  /** A pod, or `"outside"`; the node itself if absent. */
  readonly in?: string;
  /** Exit codes that count as success; 0 by default. */
  readonly statuses?: readonly number[];
}

/** Runs a command and shows it with its output. Throws if the exit code is not an expected one. */
export function command(node: Node, script: string, { in: where, statuses = [0] }: CommandOptions = {}): void {
  prompt(where ?? node.name, script);
  const argv = ["/bin/sh", "-c", script.replace(/^tortie /, `${tortie} `)];
  const { status, stdout, stderr } = node.run(argv, where === undefined ? {} : { in: where });
  const text = (stdout + stderr).trimEnd();
  if (text !== "") output(text);
  if (status === undefined || !statuses.includes(status)) throw new Error(`${script} ended with exit code ${status}`);
}

export function pinged(node: Node, from: string | undefined, address: string): void {
  const where = from === undefined ? {} : { in: from };
  const { status, stdout } = node.run(["ping", "-n", "-c", "1", "-W", "2", address], where);
  const line = stdout.split("\n").find((each) => each.includes("bytes from")) ?? "no answer";
  expected(status === 0, `${from ?? "node"} -> ${address}: ${line}`);
}

/** Asks a server which client address it sees; the answer must begin with `wanted`. */
export function asked(node: Node, from: string | undefined, host: string, port: number, wanted: string): void {
  const answer = answerOf(node, from, host, port);
  expected(answer.startsWith(wanted), `${from ?? "node"} -> ${host}:${port}: "${answer}"`);
}

/** Connects to a server that must not answer. */
export function refused(node: Node, from: string | undefined, host: string, port: number): void {
  let answer: string | undefined;
  try {
    answer = ask(node, from, host, port);
  } catch {
    // The refusal is the expected result.
  }
  expected(
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
