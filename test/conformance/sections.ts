/** Every row, by section, in the order of the checklist. */
import type { Row, Section } from "./row.ts";
import { add } from "./rows/add.ts";
import { bandwidth } from "./rows/bandwidth.ts";
import { chain } from "./rows/chain.ts";
import { chaining } from "./rows/chaining.ts";
import { check } from "./rows/check.ts";
import { del } from "./rows/del.ts";
import { delegation } from "./rows/delegation.ts";
import { environment } from "./rows/environment.ts";
import { interfaceRows } from "./rows/interface.ts";
import { ipam } from "./rows/ipam.ts";
import { others } from "./rows/others.ts";
import { portmap } from "./rows/portmap.ts";
import { process } from "./rows/process.ts";
import { promisedPorts } from "./rows/promised-ports.ts";
import { promises } from "./rows/promises.ts";
import { statusGc } from "./rows/status-gc.ts";
import { stdin } from "./rows/stdin.ts";
import { versions } from "./rows/versions.ts";

export const sections: readonly Section[] = [
  environment,
  stdin,
  process,
  versions,
  chaining,
  add,
  delegation,
  interfaceRows,
  del,
  check,
  statusGc,
  ipam,
  portmap,
  bandwidth,
  others,
  chain,
  promises,
  promisedPorts,
];

export const rows: readonly Row[] = sections.flatMap((section) => section.rows);
