import { expect, test } from "vitest";
import { World } from "../world.ts";

test.each([
  ["doctor --dry-run", "--dry-run is for --fix"],
  ["doctor --only attachment-left", "--only is for --fix"],
  ["doctor --grace x", '--grace takes a number, 0 or more, not "x"'],
  ["doctor --grace -1", '--grace takes a number, 0 or more, not "-1"'],
  ["doctor --run-dir /elsewhere", "it checks the node itself, and does not accept --run-dir or --state-dir"],
])("tortie %s makes no sense", async (line, reason) => {
  expect(await new World().run(line)).toEqual({
    status: 2,
    stdout: "",
    stderr: `tortie: cannot run doctor: ${reason}\n`,
  });
});

test("tortie doctor --help does not offer the directories that it refuses", async () => {
  const { status, stdout } = await new World().run("doctor --help");
  expect(status).toBe(0);
  expect(stdout).toContain("--node");
  expect(stdout).not.toMatch(/--(run|state)-dir/);
});
