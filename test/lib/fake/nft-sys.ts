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
  return new Proxy({} as Sys, {
    get: (_, name) => {
      if (name === "openNetlink") return open;
      if (name === "stat") return (path: string) => (path.startsWith(endpointDirectory) ? { kind: "file" } : undefined);
      if (name === "writeFile") return (path: string, text: string) => void files.set(path, text);
      throw new Error(`this test has no ${String(name)}`);
    },
  });
}
