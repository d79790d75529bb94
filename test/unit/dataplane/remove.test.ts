import { describe, expect, test } from "vitest";
import { applied, endpointPlan, newStand, ownedLinks, refusalOf, removeLink } from "./scene.ts";

const { owner } = endpointPlan();

describe("remove() of a link", () => {
  test("deletes the owner's link and a veth's other end, once", () => {
    const stand = newStand();
    const before = stand.machine.kernel.print();
    applied(stand, endpointPlan());
    for (const name of ["cali5", "cali5", "bwp5"]) removeLink(stand.scene, name, owner);
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
    removeLink(stand.scene, "cali5", owner);
    expect(stand.machine.kernel.print()).toBe(before);
  });

  test("needs no sandbox", () => {
    const stand = newStand();
    applied(stand, endpointPlan());
    removeLink({ sys: stand.sys }, "cali5", owner);
    expect(stand.machine.kernel.host.find("cali5")).toBeUndefined();
  });

  test("says what the kernel refuses", () => {
    const stand = newStand();
    stand.sys.failAt(stand.sys.steps + 2, "ENOBUFS");
    expect(refusalOf(() => removeLink(stand.scene, "cali5", owner))).toEqual({
      kind: "refused",
      message: "cannot talk to the kernel: sendto netlink: No buffer space available",
    });
  });
});

describe("list()", () => {
  test("lists the links whose owner begins so", () => {
    const stand = newStand();
    applied(stand, endpointPlan());
    expect(ownedLinks(stand.scene, "tortie:net/")).toEqual([`bwp5 ifb ${owner}`, `cali5 veth ${owner}`]);
    expect(ownedLinks(stand.scene, "tortie:other/")).toEqual([]);
  });
});
