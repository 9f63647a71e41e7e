/** What participants of recipes do over and over, and what each may never see. Any of them goes away at any moment without a word. */
import type { Log } from "#src/client/log";
import type { Holding } from "#src/client/objects/handles";
import { type BarrierVisit, barrier } from "#src/client/recipes/barrier";
import { election } from "#src/client/recipes/election";
import { semaphore } from "#src/client/recipes/semaphore";
import { type Registration, serviceRegistry } from "#src/client/recipes/service-registry";
import type { Random } from "#src/simulator/random";
import { BrokenPromise } from "./recorder.ts";
import { pause } from "./soak-cluster.ts";

/** How long the others wait for one that gives no sign of life. */
export const ttlMs = 1_500;
/** Nobody waits longer for a turn: who gives up is a case, too. */
const turnMs = 6_000;
const workMs = 40;
const forgetMs = 30_000;

export interface Visit {
  readonly log: Log;
  readonly random: Random;
}

/** What one participant does once: at times it goes away without a word, and its connection ends. */
export type Role = (visit: Visit) => Promise<"goes on" | "is gone">;

const turn = (): AbortSignal => AbortSignal.timeout(turnMs);

/** Those that believe they hold something: each says so by its own clock, and it is one clock here. */
class Holders<Held extends Holding> {
  readonly #all = new Set<Held>();

  add(held: Held): void {
    this.#all.add(held);
  }

  delete(held: Held): void {
    this.#all.delete(held);
  }

  get current(): Held[] {
    return [...this.#all].filter(({ held }) => held);
  }
}

/** A store behind an election: it takes what comes with the newest token that it has seen, or a newer one. */
class FencedStore {
  #newest = 0;
  readonly #writers = new Map<number, object>();
  writes = 0;

  /** False: refused. */
  write(token: number, writer: object): boolean {
    if (token < this.#newest) return false;
    const other = this.#writers.get(token);
    if (other !== undefined && other !== writer) throw new BrokenPromise(`two leaders write under the token ${token}`);
    this.#writers.set(token, writer);
    this.#newest = token;
    this.writes += 1;
    return true;
  }
}

/** At most one leader at a time, by their own clocks; by tokens in any case. */
export class Leaders {
  readonly store = new FencedStore();
  readonly #holders = new Holders();
  terms = 0;
  #lastToken = 0;

  readonly role: Role = async ({ log, random }) => {
    const leadership = await election(log, "e", { ttlMs }).campaign("", { signal: turn() });
    const { token } = leadership;
    this.#holders.add(leadership);
    this.#checkOne();
    // A grant that was told late may come behind a newer one; a leader that holds the office has the newest.
    if (leadership.held && token < this.#lastToken) throw new BrokenPromise(`${token} leads behind ${this.#lastToken}`);
    this.#lastToken = Math.max(this.#lastToken, token);
    this.terms += 1;
    for (let steps = random.below(5); steps >= 0 && leadership.held; steps -= 1) {
      const isTaken = this.store.write(token, leadership);
      if (!isTaken && leadership.held) throw new BrokenPromise(`the leader of ${token} is refused while it leads`);
      await pause(random.below(workMs));
      this.#checkOne();
    }
    if (random.chance(0.3)) return "is gone";
    this.#holders.delete(leadership);
    await leadership.resign();
    return "goes on";
  };

  #checkOne(): void {
    const { length } = this.#holders.current;
    if (length > 1) throw new BrokenPromise(`${length} lead at the same time`);
  }
}

/** At most so many permits at a time; tokens tell them apart. */
export class Permits {
  static readonly count = 2;
  readonly #holders = new Holders();
  readonly #tokens = new Set<number>();

  get granted(): number {
    return this.#tokens.size;
  }

  readonly role: Role = async ({ log, random }) => {
    const permit = await semaphore(log, "s", { permits: Permits.count, ttlMs }).acquire({ signal: turn() });
    if (this.#tokens.has(permit.token)) throw new BrokenPromise(`the permit ${permit.token} is given twice`);
    this.#tokens.add(permit.token);
    this.#holders.add(permit);
    this.#check();
    await pause(random.below(2 * workMs));
    this.#check();
    if (random.chance(0.3)) return "is gone";
    this.#holders.delete(permit);
    await permit.release();
    return "goes on";
  };

  #check(): void {
    const { length } = this.#holders.current;
    if (length > Permits.count) throw new BrokenPromise(`${length} are inside with ${Permits.count} permits`);
  }
}

/** Nobody passes before so many came. */
export class Parties {
  static readonly count = 3;
  /** Calls of `enter` that may count: from their begin until they left. */
  readonly #inside = new Set<object>();
  passed = 0;

  readonly role: Role = async ({ log, random }) => {
    const own = {};
    this.#inside.add(own);
    let visit: BarrierVisit;
    try {
      visit = await barrier(log, "b", { parties: Parties.count, ttlMs }).enter({ signal: turn() });
    } catch (error) {
      this.#forgetLater(own);
      throw error;
    }
    if (visit.held && this.#inside.size < Parties.count) {
      throw new BrokenPromise(`a barrier of ${Parties.count} opens for ${this.#inside.size}`);
    }
    this.passed += 1;
    await pause(random.below(workMs));
    if (random.chance(0.1)) {
      this.#forgetLater(own);
      return "is gone";
    }
    try {
      await visit.leave({ signal: turn() });
    } finally {
      this.#forgetLater(own);
    }
    return "goes on";
  };

  /** It counts until its session ends, which nobody tells: longer than any session outlives an outage. */
  #forgetLater(own: object): void {
    setTimeout(() => this.#inside.delete(own), forgetMs).unref();
  }
}

/** Who is listed is who lives. */
export class Instances {
  readonly #live = new Map<string, Registration>();
  #count = 0;

  get registered(): number {
    return this.#count;
  }

  readonly role: Role = async ({ log, random }) => {
    const registry = serviceRegistry(log, "r", { ttlMs });
    this.#count += 1;
    const id = `${this.#count}`;
    const registration = await registry.register(id, "up", { signal: turn() });
    this.#live.set(id, registration);
    await pause(random.below(workMs));
    const before = [...this.#live].filter(([, { held }]) => held);
    const listed = await registry.instances({ signal: turn() });
    for (const [name, each] of before) {
      const isLost = this.#live.has(name) && each.held && !listed.has(name);
      if (isLost) throw new BrokenPromise(`the instance ${name} lives, and is not listed`);
    }
    if (random.chance(0.3)) return "is gone";
    this.#live.delete(id);
    await registration.close();
    const now = await registry.instances({ signal: turn() });
    if (now.has(id)) throw new BrokenPromise(`the instance ${id} went, and is listed`);
    return "goes on";
  };

  /** In the end nobody is there, and a list that was kept by watching says so, too. */
  async verify(log: Log): Promise<void> {
    const registry = serviceRegistry(log, "r", { ttlMs });
    const watched = new Map<string, unknown>();
    const isOver = AbortSignal.timeout(60_000);
    for (;;) {
      const listed = await registry.instances();
      if (listed.size === 0) break;
      if (isOver.aborted) throw new BrokenPromise(`${[...listed.keys()].join()} are listed, and nobody lives`);
      await pause(100);
    }
    const last = await registry.register("last", "up");
    for await (const { id, value } of registry.watch({ signal: isOver })) {
      if (value === undefined) watched.delete(id);
      else watched.set(id, value);
      if (id === "last") break;
    }
    if ([...watched.keys()].join() !== "last") throw new BrokenPromise(`a watch lists ${[...watched.keys()].join()}`);
    await last.close();
  }
}
