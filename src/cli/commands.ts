/** All commands, in the order in which help lists them. */
import { completionCommand } from "./completion/completion.ts";
import { crdsCommand } from "./crds/command.ts";
import { migrateCommand } from "./datastore/command.ts";
import type { Command } from "./definition.ts";
import { doctorCommand } from "./doctor/command.ts";
import { installCommand } from "./install/command.ts";
import { ipamCommands } from "./ipam/commands.ts";
import { nodeStatusCommand } from "./node-status/command.ts";
import { planCommand } from "./plan/command.ts";
import { profileCommand } from "./profile/command.ts";
import { resourceCommands } from "./resources/commands.ts";
import { traceCommand } from "./trace/command.ts";
import { versionCommand } from "./version.ts";

/** The first words of commands that have two, and their subjects. */
export const groups: Readonly<Record<string, string>> = {
  ipam: "Show and repair the addresses of pods",
  node: "This node as a part of a cluster",
  datastore: "Move between datastores",
};

const working = [
  installCommand,
  planCommand,
  doctorCommand,
  traceCommand,
  ...ipamCommands,
  nodeStatusCommand,
  ...resourceCommands,
  profileCommand,
  migrateCommand,
  crdsCommand,
  versionCommand,
];

export const commands: readonly Command[] = [...working, completionCommand(working, groups)];
