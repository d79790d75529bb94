/** Words and constructions that messages and documents do not use: the glossary in docs/DESIGN.md has the words that they do use. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../lib/suite.ts";

const unwanted =
  /\b(mend(s|ed|ing)?|wreck|usurper|in the way: |by hand|it is for you|nobody else|address of a group|is free and is not|no loopback address|is no (prefix|CIDR|object|selector|veth|record))\b/;

const documents = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs", "plugins", "conf-examples"];

test.each(filesOf(documents, ".md"))("%s uses the words of the glossary", (file) => {
  const lines = readFileSync(join(root, file), "utf8").split("\n");
  // The glossary's last column names the words that are not used.
  expect(lines.filter((line) => unwanted.test(line) && !(file === "docs/DESIGN.md" && line.startsWith("|")))).toEqual(
    [],
  );
});

test.each(filesOf(["src", "plugins"], ".ts"))("texts of %s use the words of the glossary", (file) => {
  const source = readFileSync(join(root, file), "utf8").replace(/^\s*(\/\/|\/?\*).*$/gm, "");
  const texts = source.match(/"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g) ?? [];
  expect(texts.filter((text) => unwanted.test(text))).toEqual([]);
});

/** Words of a name, in camel case, that the glossary has another word for. */
const unwantedInNames =
  /^(judges?|lack|lacking|thaw(s|ed)?|cooling|claimants?|usurpers?|nobody|wish(es)?|wreck|mends?|rebuilds?|perform|folders?|conversation|twin|strays?|slips?|puzzle|longest|deepest|told|telling|wards?|tally|counters|stands?|surroundings)$/i;

test.each(filesOf(["src", "plugins", "scripts", "test/lib"], ".ts"))(
  "names of %s use the words of the glossary",
  (file) => {
    const source = readFileSync(join(root, file), "utf8").replace(/^\s*(\/\/|\/?\*).*$/gm, "");
    const names = [...source.matchAll(/^(?:export )?(?:async )?(?:function\*?|class|interface|type|const) (\w+)/gm)];
    const words = (name: string) => name.split(/_|(?<=[a-z0-9])(?=[A-Z])/);
    const found = names.flatMap(([, name = ""]) =>
      words(name).some((word) => unwantedInNames.test(word)) ? [name] : [],
    );
    expect(found).toEqual([]);
  },
);

/** Words of literal translations: comments name the subject (a process, an owner, the kernel) and use its verb. */
const unwantedInComments =
  /\b(whom|whoever|somebody|nobody|anybody|everybody|anew|(tak(en?|es|ing)|took) back|in the place of|born|judged|by hand|befalls?|for want of|another's)\b|, else (the|it|they|an?)\b|\/\*\* Who(se)?\b/i;

const commented = [
  ...filesOf(["src", "plugins", "scripts", "test"], ".ts").filter((file) => file !== "test/unit/words.test.ts"),
  ...[".c", ".h"].flatMap((ending) => filesOf(["src/host/native", "scripts", "test"], ending)),
];
const shellScripts = ["setup", "engine", "debian", "vm-images"].map((name) => `scripts/${name}`);

test.each([
  ...commented.map((file) => [file, /^\s*(\/\/|\/?\*).*$/gm] as const),
  ...shellScripts.map((file) => [file, /^\s*#.*$/gm] as const),
  // The head of a patch, and the comments that it adds.
  ...filesOf(["src/host/native/patches", "test/fuzz"], ".patch").map(
    (file) => [file, /^(?![-+@ ]).*$|^\+\s*\/\*.*$/gm] as const,
  ),
])("comments of %s are plain English", (file, comment) => {
  const comments = readFileSync(join(root, file), "utf8").match(comment) ?? [];
  expect(comments.filter((line) => unwantedInComments.test(line))).toEqual([]);
});

function filesOf(places: readonly string[], ending: string): readonly string[] {
  return places.flatMap((place) =>
    place.endsWith(".md")
      ? [place]
      : (readdirSync(join(root, place), { recursive: true }) as string[])
          .filter((file) => file.endsWith(ending))
          .map((file) => `${place}/${file}`),
  );
}
