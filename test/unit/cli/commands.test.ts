/** Promises of every command, including future ones: the tests follow the program's own definition. */
import { beforeAll, describe, expect, test } from "vitest";
import { commands } from "../../../src/cli/commands.ts";
import type { Command, OptionDefinition } from "../../../src/cli/definition.ts";
import { generalOptions } from "../../../src/cli/general-options.ts";
import { isMany, someOf } from "../../lib/how-many.ts";
import { fixtureWorld, type Outcome, type World } from "./world.ts";

const writing = commands.filter(({ options }) => "dry-run" in options);
const looking = commands.filter(({ options }) => !("dry-run" in options));

/** Arguments of people who want a dry run, and the spellings of other programs. */
const dryRuns = [
  "--dry-run",
  "--dry-run=true",
  "--dry-run true",
  "--dry-run=client",
  "--dry-run=server",
  "--dry-run=yes",
  "--dry-run=True",
  "--dry-run=1",
  "--dry-run=",
  "--dryRun",
  "--dry_run",
  "--no-dry-run=true",
  "--dry-run --no-dry-run",
  "--dry-run=false --dry-run",
];

describe.each(writing.map(({ path }) => path))("tortie %s", (path) => {
  const examples = examplesOf(commandAt(path)).map((line) => line.replace(/ --dry-run\b/, ""));

  test.each(["", " --dry-run=false", " --dry-run false", " --no-dry-run"])(
    "writes, by one of its examples%s: what the next test tries would be seen",
    async (option) => {
      const changed = await Promise.all(examples.map(async (line) => (await trial(`${line}${option}`)).changed));
      expect(changed).toContain(true);
    },
  );

  test.each(someOf(dryRuns, 5))("%s: changes nothing, in none of its examples", async (option) => {
    for (const line of examples) {
      const { changed, outcome } = await trial(`${line} ${option}`);
      expect({ line, changed }).toEqual({ line, changed: false });
      if (!/^--dry-run([= ]true)?$/.test(option)) expect(outcome).toMatchObject({ status: 2, stdout: "" });
    }
  });
});

test.each(looking.map(({ path }) => path))("tortie %s: has no dry run, for it never writes", async (path) => {
  for (const line of examplesOf(commandAt(path)))
    expect({ line, ...(await trial(line)) }).toMatchObject({ changed: false });
});

const everywhere = commands.flatMap((command) =>
  optionsOf(command).map(([name, option]) => ({ command, name, option })),
);
/** Options of several commands, each once. */
const distinct = [...new Map(everywhere.map((one) => [`${one.name} ${JSON.stringify(one.option)}`, one])).values()];

describe.each(isMany ? everywhere : distinct)("tortie $command.path --$name", ({ command, name, option }) => {
  const line = (words: string) => [...command.path.split(" "), ...requiredWords(command), ...words.split(" ")];
  const refused = async (words: string, spelling: string) => {
    const world = prepared();
    const before = filesOf(world);
    const { status, stdout, stderr } = await world.run(line(words));
    expect({ words, status, stdout }).toEqual({ words, status: 2, stdout: "" });
    expect(stderr).toMatch(new RegExp(`^tortie: cannot run ${command.path}: .*${spelling}`));
    expect(filesOf(world)).toBe(before);
  };
  const spellings = [`--${name}`, ...(option.alias === undefined ? [] : [`-${option.alias}`])];

  if (option.type === "boolean") {
    test.each(["client", "server", "yes", "no", "True", "FALSE", "on", "1", "0", "maybe", ""])(
      "takes true or false, not %j",
      async (value) => {
        for (const spelling of spellings) {
          await refused(`${spelling}=${value}`, `${spelling} must be true or false, not "${value}"`);
          await refused(`${spelling} --no-${name}`, `--${name} was given as true and as false`);
        }
      },
    );
    return;
  }
  if (option.type === "number") {
    test.each(["many", "NaN", "Infinity", "0x10", "1e3", "1,5", "--1"])("takes a number, not %j", async (value) => {
      await refused(`--${name}=${value}`, `--${name} takes a (whole )?number`);
    });
  }
  if (option.choices !== undefined) {
    test.each(["nonsense", "true", option.choices[0]?.toUpperCase() ?? ""])(
      "takes its choices, not %j",
      async (value) => {
        for (const spelling of spellings) await refused(`${spelling}=${value}`, `--${name} takes .*, not "${value}"`);
      },
    );
  }
  test("takes a value that is not empty", async () => {
    for (const spelling of spellings) {
      await refused(`${spelling}=`, `--${name} takes .*, but none was given`);
      await refused(spelling, `--${name} takes .*, but none was given`);
    }
  });
});

test("a letter is the same option in every command", () => {
  const letters = new Map<string, string>();
  for (const [name, { alias, type }] of commands.flatMap(optionsOf)) {
    if (alias === undefined) continue;
    const meaning = `${name}, ${type === "boolean" ? "without" : "with"} a value`;
    expect(letters.get(alias) ?? meaning).toBe(meaning);
    letters.set(alias, meaning);
  }
});

let report = "";
beforeAll(async () => {
  report = (await fixtureWorld().withNode().run("ipam check -o -")).stdout;
});

interface Trial {
  readonly changed: boolean;
  readonly outcome: Outcome;
}

/** Runs a line in a world that has what examples refer to: pools, files, something to repair. */
async function trial(line: string): Promise<Trial> {
  const world = prepared();
  const before = filesOf(world);
  const outcome = await world.run(line, pool("blue", "10.77.0.0/24"));
  return { changed: filesOf(world) !== before, outcome };
}

function prepared(): World {
  const world = fixtureWorld().withNode();
  world.write("/var/lib/tortie/ippools/old-pool.json", pool("old-pool", "10.66.0.0/24"));
  world.write("/tmp/pool.yaml", pool("default-ipv4-ippool", "192.168.0.0/16"));
  world.write("/tmp/pools/more/blue.yaml", pool("blue", "10.77.0.0/24"));
  world.write("/tmp/pools.yaml", pool("old-pool", "10.66.0.0/24"));
  for (const name of ["report", "r1", "r2"]) world.write(`/tmp/${name}.json`, report);
  // The doctor repairs what conflicts with the fixture's block, whatever else it finds on a machine that answers nothing.
  world.write("/proc/sys/kernel/osrelease", "6.1.0\n");
  world.write("/proc/self/mountinfo", "1 1 0:1 / /run rw - tmpfs tmpfs rw\n");
  // The files that `install` copies.
  world.write("/usr/lib/tortie/bin/calico", "");
  world.machine.files.replace("/usr/lib/tortie/bin/calico", "an executable", 0o755);
  world.write(
    "/tmp/10-calico.conflist",
    JSON.stringify({ name: "net", cniVersion: "1.0.0", plugins: [{ type: "calico", ipam: { type: "calico-ipam" } }] }),
  );
  world.anyProgram = (line) => {
    if (line === "/usr/lib/tortie/bin/calico -v") return "calico 0.1.0 (Tortie), commit 0123456789ab, engine x\n";
    if (line.startsWith("VERSION ")) return '{"supportedVersions":["1.0.0"]}';
    if (line.startsWith("find ")) return "d 700 0 1 /run/tortie\0";
    return line.includes(" -j") ? "[]" : "";
  };
  return world;
}

function pool(name: string, cidr: string): string {
  return JSON.stringify({
    apiVersion: "projectcalico.org/v3",
    kind: "IPPool",
    metadata: { name },
    spec: { cidr, blockSize: 26, nodeSelector: "all()", disabled: false },
  });
}

/** The lock's file is not state: reading the store may create it. */
function filesOf({ machine }: World): string {
  return machine.files
    .print()
    .split("\n")
    .filter((line) => !line.startsWith("/run/tortie/ipam.lock"))
    .join("\n");
}

/** The part of a pipeline that calls the command; files are in /tmp. */
function examplesOf({ path, examples }: Command): readonly string[] {
  return examples.map(([line]) => {
    const own = line.split(/ \| | > /).find((part) => part.startsWith(`$0 ${path}`)) ?? "";
    return own.replace("$0 ", "").replace(/(?<= )([\w-]+\.(yaml|json|conflist)|pools\/)/g, "/tmp/$&");
  });
}

function commandAt(wanted: string): Command {
  return commands.find(({ path }) => path === wanted) as Command;
}

function optionsOf({ options, hides }: Command): readonly (readonly [string, OptionDefinition])[] {
  return [...Object.entries(options), ...Object.entries(generalOptions({})).filter(([name]) => !hides.includes(name))];
}

/** Options are checked first, so the values of the arguments do not matter. */
function requiredWords({ positionals }: Command): readonly string[] {
  return Object.values(positionals).flatMap(({ required }) => (required === true ? ["2"] : []));
}
