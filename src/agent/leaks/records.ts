/**
 * This node's records of attachments (`src/endpoint`), which plugins write in `/run/tortie`, as evidence that an address is in use.
 *
 * **A missing record proves nothing unless the agent sees the directory of the plugins**: it may run in a container without it. A reboot removes the
 * directory; that it was seen before the reboot is then enough, because no pod outlives one.
 */
import { endpointDirectory, hasEndpoint } from "../../endpoint/endpoint.ts";
import { hasAnyPart, partDirectory } from "../../endpoint/part.ts";
import { CoreError } from "../../errors/core-error.ts";
import { bootId } from "../../host/boot-id.ts";
import { isErrno, type Sys } from "../../host/sys.ts";
import { type Attachment, attachmentKey } from "../../identity/attachment.ts";
import { stateDir } from "../../identity/names.ts";

/** The boot ID under which the directory was last seen. Never change: upgrades depend on it. */
const seenFile = `${stateDir}/records-seen`;

const fileMode = 0o600;
const directoryMode = 0o700;

/** The addresses were taken for a leak and released while the plugin did not run: it was frozen for longer than the grace period. */
class Released extends CoreError {
  override readonly name = "Released";
  readonly kind = "timeout";

  constructor({ network, containerId, ifname }: Attachment) {
    super(
      `cannot record "${network}/${containerId}/${ifname}": its addresses were released, because it was not recorded in time`,
    );
  }
}

export class Records {
  readonly #sys: Sys;
  /** Attachments of clients that keep no record: of programs other than our plugins. */
  readonly #unrecorded = new Set<string>();
  /** Attachments whose addresses were released as leaks, and were not assigned since. */
  readonly #released = new Set<string>();
  #seenIn: string | undefined;

  constructor(sys: Sys) {
    this.#sys = sys;
  }

  has(attachment: Attachment): boolean {
    return this.#isVisible(attachment) || this.#unrecorded.has(attachmentKey(attachment));
  }

  #isVisible(attachment: Attachment): boolean {
    return hasEndpoint(this.#sys, attachment) || hasAnyPart(this.#sys, attachment);
  }

  /** Whether a missing record means that the attachment does not exist: only plugins create the directories. */
  isEvidence(): boolean {
    const boot = bootId(this.#sys);
    const isThere = [endpointDirectory, partDirectory].some((directory) => this.#sys.stat(directory) !== undefined);
    if (isThere && boot !== undefined) this.#noteSeen(boot);
    if (isThere || boot === undefined) return isThere;
    this.#seenIn ??= this.#readSeen();
    return this.#seenIn !== undefined && this.#seenIn !== boot;
  }

  #readSeen(): string | undefined {
    try {
      return this.#sys.readFile(seenFile).trim();
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /** Where nothing can be written, leaks wait for the first ADD after a reboot. */
  #noteSeen(boot: string): void {
    if (this.#seenIn === boot) return;
    this.#seenIn = boot;
    try {
      this.#sys.makeDirs(stateDir, directoryMode);
      this.#sys.replaceFile(seenFile, `${boot}\n`, { mode: fileMode, durable: true });
    } catch (error) {
      if (!isErrno(error, "EROFS", "EACCES", "EPERM", "ENOSPC", "EDQUOT")) throw error;
    }
  }

  /** Addresses were assigned to it. */
  noteAssigned(attachment: Attachment): void {
    this.#released.delete(attachmentKey(attachment));
  }

  noteReleased(attachment: Attachment): void {
    this.#released.add(attachmentKey(attachment));
  }

  /** Its addresses are being released. */
  noteGone(attachment: Attachment): void {
    this.#unrecorded.delete(attachmentKey(attachment));
  }

  /** Its plugin has written its record by now. Throws `Released`. */
  requireOwned(attachment: Attachment): void {
    if (this.#released.has(attachmentKey(attachment))) throw new Released(attachment);
    if (!this.#isVisible(attachment)) this.#unrecorded.add(attachmentKey(attachment));
  }
}
