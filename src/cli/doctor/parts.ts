/** The recorded requests of the plugins (`src/endpoint/part.ts`), as the doctor reads them. */

import { type Part, partDirectory, partNames, readPart } from "../../endpoint/part.ts";
import { isErrno } from "../../host/sys.ts";
import type { Attachment } from "../../identity/attachment.ts";
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import { type Finding, subjectOfAttachment } from "./finding.ts";

export interface PartFile {
  readonly path: string;
  readonly ageSeconds: number;
  /** From its content, or from its name; `undefined` if the name is a digest. */
  readonly attachment: Attachment | undefined;
  /** `undefined` if it is unreadable. */
  readonly part: Part | undefined;
  readonly fault: string | undefined;
}

export function gatherParts({ sys }: Cli): readonly PartFile[] {
  const now = sys.wallClock().seconds * 1000;
  return [...partNames(sys)].sort().flatMap((name): readonly PartFile[] => {
    const path = `${partDirectory}/${name}`;
    const stat = sys.stat(path);
    if (stat === undefined) return [];
    const ageSeconds = Math.max(0, Math.round((now - stat.modifiedMs) / 1000));
    try {
      const part = readPart(sys, name);
      return part === undefined ? [] : [{ path, ageSeconds, attachment: part.attachment, part, fault: undefined }];
    } catch (error) {
      if (isErrno(error, "ENOENT")) return [];
      return [{ path, ageSeconds, attachment: attachmentOfFile(name), part: undefined, fault: messageOf(error) }];
    }
  });
}

function attachmentOfFile(name: string): Attachment | undefined {
  const [network, containerId, ifname, type, ...rest] = name.split(":");
  return network && containerId && ifname && type && rest.length === 0 ? { network, containerId, ifname } : undefined;
}

/** An unreadable part cannot be used for a repair. */
export function checkParts(parts: readonly PartFile[]): readonly Finding[] {
  return parts.flatMap(({ path, attachment, fault }): readonly Finding[] => {
    if (fault === undefined) return [];
    const whose = attachment === undefined ? "an attachment" : subjectOfAttachment(attachment);
    return [
      {
        id: "part-damaged",
        section: "attachments",
        severity: "error",
        subject: path,
        text: `cannot be read: ${fault}: what ${whose} was to get by this plugin can be neither checked nor made again`,
        remedy: `rm ${path}   # only the runtime can create it again, with the pod`,
        fix: { kind: "remove", paths: [path] },
      },
    ];
  });
}
