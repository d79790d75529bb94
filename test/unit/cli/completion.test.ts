/** The completion scripts in the installed shells: the suggestions after a Tab. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commands } from "../../../src/cli/commands.ts";
import { World } from "./world.ts";

let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "tortie-completion-"));
  for (const shell of ["bash", "zsh", "fish"]) writeFileSync(join(directory, shell), await scriptOf(shell));
  // The requests for names.
  writeFileSync(
    join(directory, "tortie"),
    '#!/bin/sh\n[ "$*" = "get ippools -o name" ] && echo ippool/blue && echo ippool/red\n',
    {
      mode: 0o755,
    },
  );
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function scriptOf(shell: string): Promise<string> {
  const { status, stdout, stderr } = await new World().run(`completion ${shell}`);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

/** The suggestions of bash for the last word of a line. */
function offered(line: string): readonly string[] {
  const words = line.split(" ");
  const script = `source ${directory}/bash; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _tortie; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const env = { PATH: `${directory}:${process.env.PATH}` };
  return execaSync("bash", ["--norc", "-c", script], { env, extendEnv: false, cwd: directory, lines: true }).stdout;
}

describe("tortie completion bash", () => {
  test.each([
    ["tortie doc", ["doctor"]],
    ["tortie i", ["install", "ipam"]],
    ["tortie ipam sh", ["show"]],
    ["tortie ipam show --show-b", ["--show-blocks", "--show-borrowed"]],
    ["tortie --node a ipam show --ma", ["--map"]],
    ["tortie get ipp", ["ippool"]],
    ["tortie get -o js", ["json"]],
    ["tortie get --output = na", ["name"]],
    ["tortie get ippools ", ["blue", "red"]],
    ["tortie delete --force ippools r", ["red"]],
    ["tortie get ipamblocks ", [""]],
    ["tortie apply -f tor", ["tortie"]],
    ["tortie completion z", ["zsh"]],
    ["tortie ipam show --ip ", [""]],
  ])("%s: %j", (line, words) => {
    expect(offered(line)).toEqual(words);
  });

  test("offers every command and every option of each", () => {
    const first = offered("tortie ");
    for (const { path, options } of commands) {
      expect(first).toContain(path.split(" ")[0]);
      expect(offered(`tortie ${path} --`)).toEqual(
        expect.arrayContaining(Object.keys(options).map((name) => `--${name}`)),
      );
    }
  });
});

test.each([
  ["zsh", ["-n"]],
  ["fish", ["--no-execute"]],
])("%s, where it is installed, reads its script", (shell, options) => {
  const { code, exitCode, stderr } = execaSync(shell, [...options, join(directory, shell)], { reject: false });
  if (code !== "ENOENT") expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
});

test("tortie completion fish, zsh: know every command and option as well", async () => {
  for (const { path, options } of commands) {
    const word = path.split(" ").at(-1);
    expect(await scriptOf("fish")).toMatch(new RegExp(` -a ${word}( |$)`, "m"));
    for (const name of Object.keys(options)) {
      expect(await scriptOf("fish")).toMatch(new RegExp(`_from ${word}" -l ${name}( |$)`, "m"));
      expect(await scriptOf("zsh")).toMatch(new RegExp(`"${path}"\\) _tortie_words .*--${name}\\b`));
    }
  }
});
