/** A `Sys` with only nf_tables and a few files. */
import type { NetlinkSocket, Sys } from "../../../src/host/sys.ts";
import { FakeDiag } from "./diag.ts";
import type { FakeNft } from "./nft.ts";

/** Every attachment has a record, so all are alive. */
const endpointDirectory = "/run/tortie/endpoints/";

export function nftSys(nft: FakeNft, files: Map<string, string> = new Map()): Sys {
  const diag = new FakeDiag();
  const open = (protocol: string): NetlinkSocket => {
    const waiting: Uint8Array[] = [];
    return {
      send: (datagram) => void waiting.push(...(protocol === "sock_diag" ? diag : nft).handle(datagram)),
      receive: () => {
        const next = waiting.shift();
        if (next === undefined) throw Object.assign(new Error("recv: nothing will come"), { code: "ETIMEDOUT" });
        return next;
      },
      close: () => {},
    };
  };
  const fail = (path: string): never => {
    throw Object.assign(new Error(`open ${path}: No such file or directory`), { code: "ENOENT" });
  };
  const isThere = (path: string) => path.startsWith(endpointDirectory) || files.has(path);
  const has: Partial<Sys> = {
    openNetlink: open,
    stat: ((path: string) => (isThere(path) ? { kind: "file" } : undefined)) as Sys["stat"],
    readFile: (path: string) => files.get(path) ?? fail(path),
    writeFile: (path: string, text: string) => void files.set(path, text),
    createFile: (path: string, text: string) => void files.set(path, text),
    removeFile: (path: string) => void files.delete(path),
    trustDirectory: () => {},
  };
  return new Proxy({} as Sys, {
    get: (_, name: keyof Sys) => {
      if (name in has) return has[name];
      throw new Error(`this test has no ${name}`);
    },
  });
}
