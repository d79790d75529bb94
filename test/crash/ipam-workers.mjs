/**
 * Workers that call `calico-ipam` as runtimes do, and a killer among them. Runs inside of a private node; plain JavaScript, for it starts
 * there without a loader.
 *
 *     node ipam-workers.mjs <plugin> <workers> <operations> <kills>     prints one JSON document: {live, killed, duplicates, failures}
 */
import { spawn } from "node:child_process";

const [plugin, ...numbers] = process.argv.slice(2);
const [workers = 0, operations = 0, kills = 0] = numbers.map(Number);
const conf = JSON.stringify({
  cniVersion: "1.1.0",
  name: "crash",
  type: "calico",
  nodename: "node-a",
  ipam: { type: "calico-ipam", assign_ipv6: "true" },
});
/** As many as one worker keeps; 16 of them with both families fit the pools with room for what is lost by kills. */
const most = 6;

let started = 0;
let killed = 0;
/** How long a call takes that is left alone, with all the others beside it. */
let usualMs = 8;
let containers = 0;
/** Addresses of containers whose DEL has not begun. */
const owners = new Map();
const live = new Map();
const duplicates = [];
const failures = [];

await Promise.all(Array.from({ length: workers }, work));
process.stdout.write(JSON.stringify({ live: [...live], killed, duplicates, failures }));

async function work() {
  const mine = [];
  while (started < operations) {
    if (mine.length < most && Math.random() < 0.55) await add(mine);
    else if (mine.length > 0) await del(mine);
  }
}

async function add(mine) {
  const container = `c${++containers}`;
  const { status, stdout } = await call("ADD", container);
  if (status === null) {
    // Some runtimes clean up, and some are killed as well.
    if (Math.random() < 0.5) await call("DEL", container);
    return;
  }
  const answer = JSON.parse(stdout);
  if (status !== 0) {
    failures.push(answer.msg);
    return;
  }
  const addresses = answer.ips.map(({ address }) => address.split("/")[0]);
  for (const address of addresses) {
    if (owners.has(address)) duplicates.push(`${address} of ${owners.get(address)} was given to ${container}`);
    owners.set(address, container);
  }
  live.set(container, addresses);
  mine.push(container);
}

async function del(mine) {
  const [container] = mine.splice(Math.floor(Math.random() * mine.length), 1);
  for (const address of live.get(container)) owners.delete(address);
  live.delete(container);
  const { status, stdout } = await call("DEL", container);
  if (status === null && Math.random() < 0.5) await call("DEL", container);
  if (status !== null && status !== 0) failures.push(stdout);
}

/** One exec, killed at a random moment when its turn comes: more often where those before had ended first. The status is `null` when it was. */
function call(command, container) {
  const isVictim = Math.random() < (4 * (kills - killed)) / Math.max(1, operations - started);
  const begun = performance.now();
  started++;
  return new Promise((resolve) => {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: container,
      CNI_NETNS: "/run/netns/pod",
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
    };
    const child = spawn(plugin, [], { env, stdio: ["pipe", "pipe", "inherit"] });
    let stdout = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stdin.on("error", () => undefined);
    child.on("close", (status) => {
      if (status === null) killed++;
      else if (!isVictim) usualMs += (performance.now() - begun - usualMs) / 16;
      resolve({ status, stdout });
    });
    child.stdin.end(conf);
    if (isVictim) setTimeout(() => child.kill("SIGKILL"), Math.random() * usualMs);
  });
}
