/**
 * BGP of this node, kept as the cluster wants it:
 *
 *     nodes, pools, blocks, BGP resources (followed) ──► configuration ──► BIRD ──► sessions
 *
 * **Nothing is configured before everything was listed once.** While the datastore is away, the configuration stays.
 */
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import { followTrouble } from "../datastore/follow-trouble.ts";
import type { Health } from "../health.ts";
import type { Metrics } from "../metrics.ts";
import type { BgpRole } from "../settings/read.ts";
import type { AgentLog } from "../start/start-node.ts";
import { Turns } from "../turns.ts";
import { BgpStore } from "./bgp-store.ts";
import { Bird } from "./bird.ts";
import { birdConfig } from "./bird-config.ts";
import type { SessionStatus } from "./status.ts";

export interface BgpContext {
  readonly node: string;
  readonly datastore: AsyncDatastore;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly log: AgentLog;
  readonly signal: AbortSignal;
}

/** Changes that come together are configured together. */
const quietMs = 100;
/** How often secrets and sessions are looked at. */
const lookMs = 5000;

/** Ends with the signal; BIRD goes on. */
export function beginBgp(role: BgpRole, context: BgpContext): Bgp {
  const bgp = new Bgp(role, context);
  void bgp.follow();
  return bgp;
}

export class Bgp {
  readonly #context: BgpContext;
  readonly #store: BgpStore;
  readonly #bird: Bird;
  readonly #turns: Turns;
  #trouble: string | undefined = "BIRD is not configured yet";
  #problems: readonly string[] = [];
  #sessions: readonly SessionStatus[] = [];
  #wanted = 0;

  constructor({ program, directory, secretsDirectory, routerId }: BgpRole, context: BgpContext) {
    this.#context = context;
    this.#turns = new Turns(context.signal, quietMs);
    const { node, datastore, log, metrics } = context;
    this.#store = new BgpStore(datastore, {
      ...{ node, routerId, secretsDirectory },
      onChange: () => this.#turns.poke(),
      onTrouble: followTrouble(log),
    });
    this.#bird = new Bird({ program, directory, onState: (trouble) => this.#setTrouble(trouble) });
    this.#report();
    metrics.reading("tortie_bgp_sessions", "gauge", "BGP sessions that this node should have.", () => this.#wanted);
    const help = "BGP sessions of this node that are established.";
    metrics.reading("tortie_bgp_sessions_established", "gauge", help, () => this.#established());
  }

  async follow(): Promise<void> {
    while (await this.#turns.next(lookMs)) {
      if (this.#store.isComplete) await this.#configure();
      this.#note(await this.#bird.sessions().catch(() => []));
      this.#report();
    }
  }

  /** As they were a few seconds ago at most. */
  get sessions(): readonly SessionStatus[] {
    return this.#sessions;
  }

  /** To be called after the signal. */
  close(): Promise<void> {
    return this.#bird.close();
  }

  async #configure(): Promise<void> {
    const { snapshot, faults } = this.#store.read();
    const { text, problems, sessions } = birdConfig(snapshot, this.#bird.logFile);
    this.#tell([...faults, ...problems]);
    this.#wanted = sessions.length;
    await this.#bird.configure(text);
  }

  #setTrouble(trouble: string | undefined): void {
    if (trouble !== this.#trouble) {
      if (trouble === undefined) this.#context.log.info({}, "BIRD runs with the cluster's configuration");
      else this.#context.log.warn({ error: trouble }, "BGP trouble");
    }
    this.#trouble = trouble;
    this.#report();
  }

  /** Logs the sessions that were established or ended. */
  #note(sessions: readonly SessionStatus[]): void {
    const { log } = this.#context;
    const before = establishedIn(this.#sessions);
    const now = establishedIn(sessions);
    for (const peer of now) if (!before.has(peer)) log.info({ peer }, "BGP session established");
    for (const { neighbour: peer, info } of sessions) {
      if (before.has(peer) && !now.has(peer)) log.warn({ peer, error: info }, "BGP session ended");
    }
    this.#sessions = sessions;
  }

  /** Logs a problem once. */
  #tell(problems: readonly string[]): void {
    for (const problem of problems) {
      if (!this.#problems.includes(problem)) this.#context.log.warn({ error: problem }, "BGP trouble");
    }
    this.#problems = problems;
  }

  /** As with Calico, one session is enough to be ready. */
  #report(): void {
    const isAlone = this.#wanted > 0 && this.#established() === 0;
    const reason = isAlone ? `BGP is established with none of ${this.#wanted} neighbours` : undefined;
    this.#context.health.set("bgp", this.#trouble ?? reason);
  }

  #established(): number {
    return establishedIn(this.#sessions).size;
  }
}

function establishedIn(sessions: readonly SessionStatus[]): ReadonlySet<string> {
  return new Set(sessions.filter(({ info }) => info.startsWith("Established")).map(({ neighbour }) => neighbour));
}
