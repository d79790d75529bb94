import { describe, expect, test } from "vitest";
import { listOwnedLinks, removeLink } from "../../../src/dataplane/remove.ts";
import { applied, endpointPlan, newStand, refusalOf } from "./scene.ts";

const { owner } = endpointPlan();

describe("removeLink()", () => {
  test("deletes the owner's link and a veth's other end, once", () => {
    const stand = newStand();
    const before = stand.machine.kernel.print();
    applied(stand, endpointPlan());
    const remove = (name: string) => removeLink(stand.scene, { place: "host", name, owner });
    expect([remove("cali5"), remove("cali5"), remove("bwp5")]).toEqual([true, false, true]);
    expect(stand.machine.kernel.print()).toBe(before);
  });

  test.each([
    ["another's", "tortie:net/new/eth0"],
    ["nobody's", undefined],
  ])("leaves a link of the same name that is %s", (_, alias) => {
    const stand = newStand();
    applied(stand, endpointPlan());
    Object.assign(stand.machine.kernel.host.find("cali5") ?? {}, { alias });
    const before = stand.machine.kernel.print();
    expect(removeLink(stand.scene, { place: "host", name: "cali5", owner })).toBe(false);
    expect(stand.machine.kernel.print()).toBe(before);
  });

  test("needs no sandbox", () => {
    const stand = newStand();
    applied(stand, endpointPlan());
    expect(removeLink({ sys: stand.sys }, { place: "host", name: "cali5", owner })).toBe(true);
  });

  test("says what the kernel refuses", () => {
    const stand = newStand();
    stand.sys.failAt(stand.sys.steps + 2, "ENOBUFS");
    expect(refusalOf(() => removeLink(stand.scene, { place: "host", name: "cali5", owner }))).toEqual({
      kind: "refused",
      message: "cannot talk to the kernel: sendto netlink: No buffer space available",
    });
  });
});

describe("listOwnedLinks()", () => {
  test("lists the links whose owner begins so", () => {
    const stand = newStand();
    applied(stand, endpointPlan());
    expect(listOwnedLinks(stand.scene, "tortie:net/")).toEqual([
      { name: "bwp5", owner, kind: "ifb" },
      { name: "cali5", owner, kind: "veth" },
    ]);
    expect(listOwnedLinks(stand.scene, "tortie:other/")).toEqual([]);
  });
});
