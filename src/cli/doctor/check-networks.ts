/** Checks that a runtime finds a network, and that it is one of ours. */
import { descriptors } from "#plugins/descriptors";
import { lintNetwork } from "../lint/network.ts";
import { type ExecutableFacts, networksOfOurs } from "./executables.ts";
import { type Finding, findingsIn } from "./finding.ts";
import type { Network, NetworkFacts } from "./networks.ts";
import { quote } from "./plugin-call.ts";

export function checkNetworks(facts: NetworkFacts, executables: ExecutableFacts): readonly Finding[] {
  const ours = networksOfOurs(facts, executables);
  return [
    ...checkFiles(facts),
    ...checkMissing(facts, ours),
    ...checkOrder(facts, ours),
    ...checkNames(facts),
    ...checkCapabilities(facts, ours),
    ...checkKeys(facts, ours),
  ];
}

function checkMissing({ directory, files, example }: NetworkFacts, ours: readonly Network[]): readonly Finding[] {
  if (ours.length > 0 || files.some(({ fault }) => fault !== undefined)) return [];
  const text =
    files.length === 0
      ? "contains no network configuration: the runtime reports that the node is not ready, and starts no pod"
      : "contains no network with a plugin of Tortie: no pod uses Tortie";
  const remedy =
    example === undefined
      ? `# write one: docs/operations.md and conf-examples/10-calico.conflist of the project show how; put it into ${directory}`
      : `tortie install --conflist ${quote(example)} --conf-dir ${quote(directory)}`;
  return [finding("network-missing", directory, text, remedy)];
}

const finding = findingsIn("networks");

/** Runtimes use only the first file, so an invalid one after it does no harm. */
function checkFiles({ files }: NetworkFacts): readonly Finding[] {
  const taken = files.findIndex(({ fault }) => fault === undefined);
  return files.flatMap(({ path, fault }, index) => {
    if (fault === undefined) return [];
    const severity = taken >= 0 && taken < index ? "warning" : "error";
    const text = `cannot be read as a network: ${fault}: runtimes reject it, or use another network instead`;
    return [finding("network-broken", path, text, `# change ${path}, or move it away`, severity)];
  });
}

interface Readable {
  readonly path: string;
  readonly network: Network;
}

function readableIn({ files }: NetworkFacts): readonly Readable[] {
  return files.flatMap((file) => (file.fault === undefined ? [file] : []));
}

/** Runtimes use the first file. */
function checkOrder(facts: NetworkFacts, ours: readonly Network[]): readonly Finding[] {
  const [first, ...others] = readableIn(facts);
  const later = others.find(({ network }) => ours.includes(network));
  if (first === undefined || ours.includes(first.network) || later === undefined) return [];
  const text = `comes after ${first.path}: pods use network "${first.network.name}", not "${later.network.name}"`;
  const remedy = `# move ${first.path} away, if pods should use "${later.network.name}"`;
  return [finding("network-shadowed", later.path, text, remedy, "warning")];
}

function checkNames(facts: NetworkFacts): readonly Finding[] {
  const readable = readableIn(facts);
  return readable.flatMap(({ path, network: { name } }, index) => {
    const other = readable.slice(0, index).find((one) => one.network.name === name);
    if (other === undefined) return [];
    const text = `names its network "${name}" as ${other.path} does: their attachments cannot be told apart`;
    return [finding("network-name-taken", path, text, "# give one of them another name, or remove it")];
  });
}

/** Capabilities: a runtime passes these to a plugin only if the file declares them. */
const needed = descriptors.flatMap(({ name, capabilities }) => capabilities.map((one) => ({ type: name, ...one })));

function checkCapabilities(facts: NetworkFacts, ours: readonly Network[]): readonly Finding[] {
  const readable = readableIn(facts).filter(({ network }) => ours.includes(network));
  return readable.flatMap(({ path, network: { plugins } }) =>
    needed.flatMap(({ type, name: capability, without, instead }) => {
      const plugin = plugins.find((one) => one.type === type);
      const { capabilities } = plugin?.document ?? {};
      const declared = (capabilities as Readonly<Record<string, unknown>> | undefined)?.[capability] === true;
      if (plugin === undefined || declared || instead.some((key) => key in plugin.document)) return [];
      const text = `lacks "capabilities": {"${capability}": true} of plugin ${type}: ${without}`;
      return [finding("capability-missing", `${path} ${type}`, text, `# add it to ${path}`, "warning")];
    }),
  );
}

/** Keys that ADD ignores. Keys that it rejects are reported by STATUS. */
function checkKeys(facts: NetworkFacts, ours: readonly Network[]): readonly Finding[] {
  const readable = readableIn(facts).filter(({ network }) => ours.includes(network));
  return readable.flatMap(({ path, network: { name, cniVersion, plugins } }) => {
    const document = { name, cniVersion, plugins: plugins.map((plugin) => plugin.document) };
    const ignored = lintNetwork(document).findings.filter(({ effect }) => effect === "ignored");
    if (ignored.length === 0) return [];
    const said = ignored.map(({ path: place, text }) => `${place}: ${text}`).join("; ");
    const remedy = `# change ${path}; tortie validate -f ${quote(path)} checks it`;
    return [
      finding(
        "network-slip",
        path,
        `has keys or values that the plugins do not understand: ${said}`,
        remedy,
        "warning",
      ),
    ];
  });
}
