import { describe, expect, test } from "vitest";
import { applied, endpointPlan, newSetup, ownedLinks, refusalOf, removeLink } from "./scene.ts";

const { owner } = endpointPlan();

describe("remove() of a link", () => {
  test("deletes the owner's link and a veth's other end, once", () => {
    const setup = newSetup();
    const before = setup.machine.kernel.print();
    applied(setup, endpointPlan());
    for (const name of ["cali5", "cali5", "bwp5"]) removeLink(setup.scene, name, owner);
    expect(setup.machine.kernel.print()).toBe(before);
  });

  test.each([
    ["another's", "tortie:net/new/eth0"],
    ["nobody's", undefined],
  ])("leaves a link of the same name that is %s", (_, alias) => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    Object.assign(setup.machine.kernel.host.find("cali5") ?? {}, { alias });
    const before = setup.machine.kernel.print();
    removeLink(setup.scene, "cali5", owner);
    expect(setup.machine.kernel.print()).toBe(before);
  });

  test("needs no sandbox", () => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    removeLink({ sys: setup.sys }, "cali5", owner);
    expect(setup.machine.kernel.host.find("cali5")).toBeUndefined();
  });

  test("says what the kernel refuses", () => {
    const setup = newSetup();
    setup.sys.failAt(setup.sys.steps + 2, "ENOBUFS");
    expect(refusalOf(() => removeLink(setup.scene, "cali5", owner))).toEqual({
      kind: "refused",
      message: "cannot talk to the kernel: sendto netlink: No buffer space available",
    });
  });
});

describe("list()", () => {
  test("lists the links whose owner begins so", () => {
    const setup = newSetup();
    applied(setup, endpointPlan());
    expect(ownedLinks(setup.scene, "tortie:net/")).toEqual([`bwp5 ifb ${owner}`, `cali5 veth ${owner}`]);
    expect(ownedLinks(setup.scene, "tortie:other/")).toEqual([]);
  });
});
