/** The possible faults of a step of a process on the real kernel. */
import { type Fault, killsOf, type Step } from "../lib/faults/fault.ts";

export type FaultsAt = (step: Step, number: number) => readonly Fault[];

export const kills: FaultsAt = (step, number) => killsOf(step).map((kill) => ({ step: number, kill }));

/** Each errno that the call can return, and a refusal of each message of a datagram. */
export const errors: FaultsAt = ({ call, messages = 0 }, step) => {
  const failing = (plausible[call] ?? []).map((errno) => ({ step, errno }));
  const refused = Array.from({ length: messages }, (_, message) => ({
    step,
    errno: refusals[message % refusals.length] as string,
    message,
  }));
  return [...failing, ...refused];
};

const plausible: Readonly<Record<string, readonly string[]>> = {
  readStdin: ["EIO"],
  write: ["EPIPE", "ENOSPC"],
  readFile: ["EMFILE", "EPERM"],
  writeFile: ["EROFS", "EPERM", "EMFILE", "EBUSY"],
  createFile: ["ENOSPC", "EROFS", "EMFILE", "EPERM"],
  replaceFile: ["ENOSPC", "EROFS", "EMFILE", "EPERM", "EBUSY"],
  removeFile: ["EROFS", "EPERM", "EBUSY"],
  makeDirs: ["ENOSPC", "EROFS", "EPERM"],
  listDir: ["EMFILE", "EPERM"],
  stat: ["EPERM"],
  lock: ["EMFILE", "ENOSPC", "EROFS", "ETIMEDOUT"],
  run: ["EMFILE", "EPERM", "ETIMEDOUT"],
  openNetns: ["EMFILE", "EPERM"],
  inNetns: ["EPERM"],
  inNewNetns: ["EPERM", "ENOSPC"],
  openNetlink: ["EMFILE", "EPERM", "ENOBUFS"],
  send: ["ENOBUFS", "EPERM", "EINTR"],
  receive: ["ENOBUFS", "EINTR", "ETIMEDOUT"],
};
const refusals = ["EPERM", "EBUSY", "ENOBUFS", "ENOSPC"];
