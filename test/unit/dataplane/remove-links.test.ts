/** Many links are removed at once, as a group: only ours, and whatever was killed or put into the group meanwhile. */
import { beforeEach, expect, test } from "vitest";
import { firstGroup } from "../../../src/dataplane/links/group.ts";
import { removeLinks } from "../../../src/dataplane/links/removal.ts";
import { Namespaces } from "../../../src/dataplane/namespaces.ts";
import type { Sys } from "../../../src/host/sys.ts";
import { decodeDatagram } from "../../../src/netlink/message.ts";
import { RTM_DELLINK } from "../../../src/netlink/rtnetlink.ts";
import type { FakeLink } from "../../lib/fake/netns.ts";
import { FakeSys } from "../../lib/fake/sys.ts";
import { newSetup, refusalOf, type Setup } from "./scene.ts";

let setup: Setup;

beforeEach(() => {
  setup = newSetup();
  for (let id = 1; id <= 4; id++) addLink(`bwp${id}`, ownerOf(id));
});

function ownerOf(id: number): string {
  return `tortie:net/c${id}/eth0`;
}

function addLink(name: string, alias?: string): FakeLink {
  const { kernel } = setup.machine;
  return Object.assign(kernel.host.addLink({ name, kind: "ifb", mac: kernel.randomMac(), mtu: 1500 }), { alias });
}

const four = [1, 2, 3, 4].map((id) => ({ name: `bwp${id}`, owner: ownerOf(id) }));

function remove(sys: Sys = setup.sys, links = four): readonly string[] {
  const gone: string[] = [];
  removeLinks(links, ({ name }) => gone.push(name), new Namespaces(sys));
  return gone;
}

/** As the real one, but `after` runs when the nth datagram was sent. */
function meanwhile(nth: number, after: () => void): Sys {
  let sent = 0;
  return Object.assign(Object.create(setup.sys) as Sys, {
    openNetlink(...where: Parameters<Sys["openNetlink"]>) {
      const socket = setup.sys.openNetlink(...where);
      const send = (datagram: Uint8Array) => {
        socket.send(datagram);
        if (++sent === nth) after();
      };
      return { ...socket, send };
    },
  });
}

/** How often links were deleted. */
function countDeletions(sys: Sys): { readonly sys: Sys; readonly count: () => number } {
  let deletions = 0;
  const counting: Partial<Sys> = {
    openNetlink(...where) {
      const socket = sys.openNetlink(...where);
      const send = (datagram: Uint8Array) => {
        deletions += decodeDatagram(datagram).filter(({ type }) => type === RTM_DELLINK).length;
        socket.send(datagram);
      };
      return { ...socket, send };
    },
  };
  return { sys: Object.assign(Object.create(sys) as Sys, counting), count: () => deletions };
}

function names(): readonly string[] {
  return [...setup.machine.kernel.host.links.values()].map(({ name }) => name);
}

test("links go with one deletion, and each is told of, also one that was gone", () => {
  const { sys, count } = countDeletions(setup.sys);
  const missing = { name: "bwp9", owner: ownerOf(9) };
  expect(remove(sys, [...four, missing])).toEqual(["bwp1", "bwp2", "bwp3", "bwp4", "bwp9"]);
  expect(count()).toBe(1);
  expect(names()).toEqual(["lo"]);
});

test("another's and nobody's link stays, untouched", () => {
  Object.assign(setup.machine.kernel.host.find("bwp2") ?? {}, { alias: "tortie:net/new/eth0" });
  Object.assign(setup.machine.kernel.host.find("bwp3") ?? {}, { alias: undefined });
  remove();
  expect(names()).toEqual(["lo", "bwp2", "bwp3"]);
  expect(setup.machine.kernel.print()).not.toContain("group");
});

test("a link without an alias goes where its signature is ours", () => {
  Object.assign(setup.machine.kernel.host.find("bwp3") ?? {}, { alias: undefined });
  const { sys, count } = countDeletions(setup.sys);
  remove(
    sys,
    four.map((link) => ({ ...link, signature: { kind: "ifb" } as const })),
  );
  expect([names(), count()]).toEqual([["lo"], 1]);
});

test("a name that several owners had goes, whichever of them has it", () => {
  const earlier = { name: "bwp2", owner: ownerOf(9) };
  expect(remove(setup.sys, [earlier, ...four, earlier])).toHaveLength(6);
  expect(names()).toEqual(["lo"]);
});

test("a group that a link is in already is not used: another is", () => {
  const [high = 0, low = 0] = new FakeSys({ machine: newSetup().machine }).randomBytes(2);
  const foreign = addLink("foreign");
  foreign.group = firstGroup + ((high << 8) | low);
  const { sys, count } = countDeletions(setup.sys);
  remove(sys);
  expect([names(), count()]).toEqual([["lo", "foreign"], 1]);
});

test("a link that another process puts into the group stays: ours then go one by one", () => {
  const foreign = addLink("foreign");
  const grouped = () => setup.machine.kernel.host.find("bwp1")?.group ?? 0;
  // The links were listed, and are in the group.
  const sys = meanwhile(3, () => {
    foreign.group = grouped();
  });
  remove(sys);
  expect(foreign.group).toBeGreaterThanOrEqual(firstGroup);
  expect(names()).toEqual(["lo", "foreign"]);
});

test("a link that is another's by now stays", () => {
  const sys = meanwhile(3, () => {
    Object.assign(setup.machine.kernel.host.find("bwp2") ?? {}, { alias: "tortie:net/new/eth0" });
  });
  remove(sys);
  expect(names()).toEqual(["lo", "bwp2"]);
});

test("a process that is killed when the links are in the group leaves them to the next", () => {
  setup.sys.killAt(setup.sys.steps + 5);
  expect(() => remove()).toThrow();
  expect(setup.machine.kernel.host.find("bwp4")?.group).toBeGreaterThanOrEqual(firstGroup);
  remove(new FakeSys({ machine: setup.machine }));
  expect(names()).toEqual(["lo"]);
});

test("what the kernel refuses for one does not keep the others", () => {
  setup.machine.kernel.host.addLink({ name: "eno1", kind: "device", mac: "02:00:00:00:00:77", mtu: 1500 }).alias =
    ownerOf(7);
  const gone: string[] = [];
  const links = [{ name: "eno1", owner: ownerOf(7) }, ...four];
  const refusal = refusalOf(() => removeLinks(links, ({ name }) => gone.push(name), new Namespaces(setup.sys)));
  expect(refusal.message).toBe('cannot delete link "eno1" on the host: Operation not supported (EOPNOTSUPP)');
  expect(gone).toEqual(["bwp1", "bwp2", "bwp3", "bwp4"]);
  expect(names()).toEqual(["lo", "eno1"]);
});
