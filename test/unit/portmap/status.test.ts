/** STATUS of the iptables back end; that of nftables is in `test/unit/plugin/missing-features.test.ts`. */
import { describe, expect, test } from "vitest";
import { FakeNode } from "../../lib/fake/node.ts";

/** A node whose iptables programs give this answer; those of `families` are installed. */
function nodeWith(
  families: readonly ("iptables" | "ip6tables")[],
  restore: (program: string, stdin: string) => { readonly status: number; readonly stderr: string },
  saved = "",
) {
  const node = new FakeNode();
  const calls: string[] = [];
  node.machine.files.makeDirs("/usr/sbin", 0o755);
  for (const family of families) {
    for (const kind of ["save", "restore"]) {
      const path = `/usr/sbin/${family}-${kind}`;
      node.machine.files.create(path, "", 0o755);
      node.machine.programs.set(path, (argv, { stdin }) => {
        calls.push(argv.join(" "));
        return kind === "save" ? { stdout: saved } : restore(family, stdin);
      });
    }
  }
  return { status: () => node.run("STATUS", { plugin: "portmap", conf: { backend: "iptables" } }), calls };
}

const fine = () => ({ status: 0, stderr: "" });
const missing =
  "iptables-restore v1.8.9 (nf_tables): Extension comment revision 0 not supported, missing kernel module?";

describe("portmap STATUS with iptables", () => {
  test("tests in each family what an ADD would restore, and restores nothing", () => {
    const texts: string[] = [];
    const { status, calls } = nodeWith(["iptables", "ip6tables"], (_, stdin) => {
      texts.push(stdin);
      return fine();
    });
    expect(status()).toMatchObject({ status: 0, json: undefined });
    expect(calls.filter((call) => call.includes("restore"))).toEqual([
      "/usr/sbin/iptables-restore --test --noflush --wait 30",
      "/usr/sbin/ip6tables-restore --test --noflush --wait 30",
    ]);
    for (const word of ["-m addrtype", "-m comment", "-m multiport", "-m mark", "-j MASQUERADE", "-j DNAT", "*raw"]) {
      expect(texts[0]).toContain(word);
    }
    expect(texts[1]).toContain("-j DNAT --to-destination [2001:db8::1]:1");
  });

  test("says what is missing for IPv4, and passes over what IPv6 alone lacks", () => {
    const lacking = (family: string) => (program: string) =>
      program === family ? { status: 2, stderr: missing } : fine();
    expect(nodeWith(["iptables", "ip6tables"], lacking("iptables")).status().json).toMatchObject({
      code: 50,
      msg: expect.stringContaining(missing),
    });
    expect(nodeWith(["iptables", "ip6tables"], lacking("ip6tables")).status().status).toBe(0);
  });

  test("takes what iptables-legacy only warns of for what it is", () => {
    const warned = nodeWith(["iptables"], () => ({ status: 0, stderr: `Warning: ${missing}` }));
    expect(warned.status().json).toMatchObject({ code: 50, msg: expect.stringContaining(missing) });
  });

  test("tests nothing while a port is mapped", () => {
    const { status, calls } = nodeWith(["iptables"], fine, "*nat\n:CNI-HOSTPORT-DNAT - [0:0]\nCOMMIT\n");
    expect(status().status).toBe(0);
    expect(calls).toEqual(["/usr/sbin/iptables-save"]);
  });

  test("says that the programs are missing", () => {
    expect(nodeWith([], fine).status().json).toMatchObject({
      code: 50,
      msg: "cannot use iptables: neither iptables nor ip6tables is installed; install iptables",
    });
  });
});
