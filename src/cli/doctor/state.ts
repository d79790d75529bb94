/** The directories of the store and of the endpoints: modes, owners, file systems, and files that do not belong there. */
import { endpointDirectory } from "../../endpoint/endpoint.ts";
import { partDirectory } from "../../endpoint/part.ts";
import { runDir, stateDir } from "../../identity/names.ts";
import { places } from "../../store/file/places.ts";
import type { Cli } from "../cli.ts";
import { readMounts } from "../node/mount.ts";
import type { Finding } from "./finding.ts";
import { byPrograms, quote } from "./plugin-call.ts";

export interface StateFacts {
  readonly files: readonly StateFile[];
  /** The type of the file system of `/run/tortie`; `undefined` if the directory does not exist. */
  readonly runFileSystem: string | undefined;
}

export interface StateFile {
  readonly path: string;
  readonly kind: "directory" | "file" | "link" | "other";
  readonly mode: number;
  /** User ID. */
  readonly user: number;
  readonly ageSeconds: number;
}

const directoryMode = 0o700;
const fileMode = 0o600;

export async function gatherState(cli: Cli): Promise<StateFacts> {
  const directories = [runDir, stateDir].filter((directory) => cli.sys.stat(directory) !== undefined);
  const listed = directories.length === 0 ? "" : await list(cli, directories);
  const { seconds } = cli.sys.wallClock();
  const files = listed.split("\0").flatMap((line) => readLine(line, seconds));
  return { files, runFileSystem: directories.includes(runDir) ? readMounts(cli.sys)(runDir).type : undefined };
}

/** find ends with code 1 if a file vanished meanwhile. */
async function list(cli: Cli, directories: readonly string[]): Promise<string> {
  const argv = ["find", ...directories, "-printf", "%y %m %U %T@ %p\\0"];
  const { stdout, stderr } = await cli.execute(argv, { env: {}, stdin: "", timeoutMs: 60_000 });
  if (stdout === "") throw new Error(`cannot list ${directories.join(" and ")}: ${stderr.trim()}`);
  return stdout;
}

function readLine(line: string, now: number): readonly StateFile[] {
  const [, letter = "", mode = "", user = "", modified = "", path = ""] =
    /^(\S) (\d+) (\d+) (\S+) (.*)$/s.exec(line) ?? [];
  if (path === "") return [];
  const kinds: Readonly<Record<string, StateFile["kind"]>> = { d: "directory", f: "file", l: "link" };
  return [
    {
      path,
      kind: kinds[letter] ?? "other",
      mode: Number.parseInt(mode, 8),
      user: Number(user),
      ageSeconds: Math.max(0, Math.round(now - Number(modified))),
    },
  ];
}

/** `graceSeconds`: a younger file may be one that a process is writing. */
export function checkState({ files, runFileSystem }: StateFacts, graceSeconds: number): readonly Finding[] {
  return [
    ...checkFileSystem(runFileSystem),
    ...files.filter(({ path }) => !isTemporary(path)).flatMap((file) => [...checkMode(file), ...checkOwner(file)]),
    ...files.flatMap((file) => checkLeftover(file, graceSeconds)),
  ];
}

const volatileFileSystems = ["tmpfs", "ramfs"];

function checkFileSystem(type: string | undefined): readonly Finding[] {
  if (type === undefined || volatileFileSystems.includes(type)) return [];
  return [
    {
      id: "state-not-volatile",
      section: "state",
      severity: "error",
      subject: runDir,
      text: `is on ${type}, not on a tmpfs: after a reboot the addresses of the ended pods would stay assigned`,
      remedy: "# mount a tmpfs on /run, as systemd does, and reboot",
    },
  ];
}

/** Only root may know which address belongs to which pod. */
function checkMode({ path, kind, mode }: StateFile): readonly Finding[] {
  const wanted = kind === "directory" ? directoryMode : fileMode;
  if ((kind !== "directory" && kind !== "file") || isForPeople(path)) return [];
  const text = (mode & ~wanted) !== 0 ? "others may read or change it" : "its owner may not read and write it";
  if (mode === wanted || ((mode & ~wanted) === 0 && (mode & 0o600) === 0o600)) return [];
  return [
    {
      id: "mode-wrong",
      section: "state",
      severity: "error",
      subject: path,
      text: `has mode ${octal(mode)}, wanted ${octal(wanted)}: ${text}`,
      ...byPrograms([["chmod", octal(wanted), path]]),
    },
  ];
}

/** A person who writes pools and settings may make them readable to others. */
function isForPeople(path: string): boolean {
  return path === stateDir || path.startsWith(`${stateDir}/`);
}

function checkOwner({ path, user }: StateFile): readonly Finding[] {
  if (user === 0) return [];
  return [
    {
      id: "owner-wrong",
      section: "state",
      severity: "error",
      subject: path,
      text: `belongs to user ${user}, not to root: that user can change the addresses of pods`,
      ...byPrograms([["chown", "-h", "root:root", path]]),
    },
  ];
}

const directories = [endpointDirectory, partDirectory, ...Object.values(places).map(({ directory }) => directory)];

function checkLeftover({ path, kind, ageSeconds }: StateFile, graceSeconds: number): readonly Finding[] {
  const at = path.lastIndexOf("/");
  const name = path.slice(at + 1);
  if (kind !== "file" || !directories.includes(path.slice(0, at))) return [];
  if (isTemporary(path) && ageSeconds >= graceSeconds) {
    return [
      {
        id: "temporary-file-left",
        section: "state",
        severity: "error",
        subject: path,
        text: "is an unfinished file: a process was killed while it wrote it",
        remedy: `rm ${quote(path)}`,
        fix: { kind: "remove", paths: [path] },
      },
    ];
  }
  if (!/\.damaged-[\d.]+\+*$/.test(name)) return [];
  return [
    {
      id: "damaged-file-kept",
      section: "state",
      severity: "warning",
      subject: path,
      text: "was damaged and moved aside, and replaced: inspect the file, then delete it",
      remedy: `rm ${quote(path)}`,
    },
  ];
}

/** Temporary names of files (src/host). */
function isTemporary(path: string): boolean {
  return path.slice(path.lastIndexOf("/") + 1).startsWith(".tmp-");
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
