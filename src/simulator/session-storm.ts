import type { Hashing } from "../base/hashing.ts";
import type { AppendAnswer } from "../core/effect.ts";
import type { VirtualClock } from "./clock.ts";
import type { Coverage } from "./coverage.ts";
import { labelledBatch } from "./labelled-batch.ts";
import type { Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";
import type { RequestDesk } from "./request-desk.ts";
import type { SimNode } from "./sim-node.ts";
import { check } from "./violation.ts";

export interface StormPlan {
  readonly sessions: number;
  /** Of each session. */
  readonly appends: number;
  /** Requests of a session that are sent and not answered, at most. */
  readonly inFlight: number;
  /** New requests come in bursts of so many, with this mean time between two of them. */
  readonly burst: number;
  readonly burstMeanUs: number;
  /** Without an answer for so long a client sends all that is unanswered again, elsewhere. */
  readonly patienceUs: number;
  /** Part of the answers that never arrive. */
  readonly answerLossRate: number;
  /** Part of the answers after which the client dies, and another goes on with its session. */
  readonly restartRate: number;
  /** Part of the requests that come once more, long after. */
  readonly repeatRate: number;
}

export interface StormWorld {
  readonly clock: VirtualClock;
  readonly hashing: Hashing;
  readonly ledger: Ledger;
  readonly coverage: Coverage;
  readonly desk: RequestDesk;
  readonly nodes: () => readonly SimNode[];
  readonly plan: StormPlan;
}

/** Numbers of appends: those of one session follow each other. */
const numbersFrom = 2 ** 41;
const numbersOfSession = 2 ** 24;

/** Long enough for the clocks of a run to jump without ending a session. */
const ttlMs = 24 * 3_600_000;

/** Sessions that append numbered records through clients that lose answers, retry, repeat and die. */
export class SessionStorm {
  readonly #world: StormWorld;
  readonly #sessions: StormSession[];

  constructor(world: StormWorld, random: Random) {
    this.#world = world;
    this.#sessions = Array.from({ length: world.plan.sessions }, (_, index) => {
      return new StormSession(index, world, random.fork());
    });
  }

  start(): void {
    for (const session of this.#sessions) session.open();
  }

  get isDone(): boolean {
    return this.#sessions.every((session) => session.isDone);
  }

  get answered(): number {
    return this.#sessions.reduce((sum, session) => sum + session.answered, 0);
  }

  /** Every request is in the log once, and those of a session stand there in their order. */
  check(): void {
    const { ledger, plan } = this.#world;
    const last = new Map<number, number>();
    let count = 0;
    for (let slot = 1; slot < ledger.end; slot += 1) {
      const entry = ledger.entryAt(slot as typeof ledger.end)!;
      if (entry.kind !== "batch" || entry.session === 0) continue;
      const before = last.get(entry.session) ?? 0;
      check(
        entry.serial === before + 1,
        () => `slot ${slot} holds serial ${entry.serial} of session ${entry.session}, behind ${before}`,
      );
      last.set(entry.session, entry.serial);
      count += 1;
    }
    const expected = plan.sessions * plan.appends;
    check(count === expected, () => `the log holds ${count} requests of ${expected}`);
  }
}

/** One session. The node that is asked changes with each connection; the session and its serials go on. */
class StormSession {
  readonly #index: number;
  readonly #world: StormWorld;
  readonly #random: Random;
  #id: number | undefined;
  /** Every request before it is answered; none at or behind `#begun` was ever sent. */
  #oldest = 1;
  #begun = 1;
  /** First request that nobody has made yet. */
  #come = 1;
  readonly #answered = new Set<number>();
  /** Of the connection: its number, the node (none while the client looks for one), and what is sent next. */
  #connection = 0;
  #node: SimNode | undefined;
  #next = 1;
  #progressUs = 0;

  constructor(index: number, world: StormWorld, random: Random) {
    this.#index = index;
    this.#world = world;
    this.#random = random;
  }

  get isDone(): boolean {
    return this.#oldest > this.#world.plan.appends;
  }

  get answered(): number {
    return this.#oldest - 1;
  }

  /** A session of which no answer came is left alone, and another is opened. */
  open(): void {
    const { desk, clock, plan } = this.#world;
    desk.propose(this.#chooseNode(), { kind: "openSession", ttlMs }, (answer) => {
      if (this.#id !== undefined || answer === "lost" || answer.kind !== "session") return;
      this.#id = answer.session;
      this.#connect();
      this.#comeOn();
    });
    clock.after(plan.patienceUs + 50_000, () => {
      if (this.#id === undefined) this.open();
    });
  }

  #chooseNode(): SimNode {
    const nodes = this.#world.nodes();
    const leaders = nodes.filter((node) => this.#leads(node));
    return leaders.length > 0 && this.#random.chance(0.9) ? this.#random.pick(leaders) : this.#random.pick(nodes);
  }

  #leads(node: SimNode): boolean {
    return node.replica?.view.role === "leader";
  }

  /** A new connection sends everything unanswered, in order. */
  #connect(): void {
    if (this.isDone) return;
    const { clock, coverage } = this.#world;
    // Mostly a client has found out who leads before it sends everything again.
    if (!this.#leads(this.#chooseNode()) && this.#random.chance(0.8)) {
      this.#reconnectLater(20_000);
      return;
    }
    coverage.count("storm.connections");
    this.#connection += 1;
    this.#node = this.#chooseNode();
    this.#next = this.#oldest;
    this.#progressUs = clock.nowUs;
    this.#sendOn();
    this.#watch(this.#connection);
  }

  #watch(connection: number): void {
    const { clock, plan } = this.#world;
    clock.after(plan.patienceUs, () => {
      if (connection !== this.#connection || this.isDone) return;
      if (clock.nowUs - this.#progressUs >= plan.patienceUs) this.#connect();
      else this.#watch(connection);
    });
  }

  #reconnectLater(meanUs: number): void {
    const connection = this.#connection + 1;
    this.#connection = connection;
    this.#node = undefined;
    this.#world.clock.after(this.#random.exponential(meanUs), () => {
      if (connection === this.#connection) this.#connect();
    });
  }

  /** Sends what was sent before on another connection at once, and new requests as they come. */
  #sendOn(): void {
    const { plan } = this.#world;
    const end = Math.min(plan.appends + 1, this.#oldest + plan.inFlight, this.#come);
    // A node that is down refuses at once, which ends the connection.
    for (let node = this.#node; node !== undefined && this.#next < end; node = this.#node) {
      this.#next += 1;
      this.#send(this.#next - 1, node, this.#connection);
    }
  }

  #comeOn(): void {
    const { clock, plan } = this.#world;
    // What comes while the window is full waits with its caller.
    this.#come = Math.min(this.#come + plan.burst, this.#oldest + plan.inFlight);
    this.#sendOn();
    if (this.#come <= plan.appends) clock.after(this.#random.exponential(plan.burstMeanUs), () => this.#comeOn());
  }

  #numberOf(serial: number): number {
    return numbersFrom + this.#index * numbersOfSession + serial;
  }

  #send(serial: number, node: SimNode, caller: number): void {
    const { desk, hashing, ledger, coverage } = this.#world;
    const number = this.#numberOf(serial);
    if (serial >= this.#begun) {
      ledger.appendBegins(number);
      this.#begun = serial + 1;
    } else coverage.count("storm.sentAgain");
    const batch = labelledBatch(number, [{ type: "", tags: [] }], hashing);
    const guards = { session: { id: this.#id!, serial } };
    // A request that is repeated comes on its own.
    const name = caller === 0 ? 0 : this.#index * 2 ** 20 + caller;
    desk.propose(node, { ...batch, guards, caller: name }, (answer) => {
      this.#onAnswer(serial, caller, answer);
    });
  }

  #onAnswer(serial: number, connection: number, answer: AppendAnswer | "lost"): void {
    const { coverage, plan } = this.#world;
    if (answer !== "lost" && answer.kind === "acknowledged") {
      if (this.#random.chance(plan.answerLossRate)) return;
      this.#note(serial, answer);
      if (connection !== this.#connection) return;
      if (this.#random.chance(plan.restartRate)) {
        coverage.count("storm.restarts");
        this.#reconnectLater(20_000);
      } else this.#sendOn();
      return;
    }
    coverage.count(`storm.${answer === "lost" ? "lost" : answer.kind === "failed" ? answer.code : answer.kind}`);
    const isForgotten = answer !== "lost" && answer.kind === "failed" && answer.code === "SESSION_UNKNOWN";
    check(!isForgotten || serial < this.#oldest, () => `session ${this.#id} does not know its serial ${serial}`);
    if (connection === this.#connection && serial >= this.#oldest) this.#reconnectLater(5_000);
  }

  #note(serial: number, answer: Extract<AppendAnswer, { kind: "acknowledged" }>): void {
    const { ledger, coverage, clock } = this.#world;
    const number = this.#numberOf(serial);
    if (serial < this.#oldest || this.#answered.has(serial)) {
      coverage.count("storm.answeredAgain");
      const { entry } = ledger.landed(number)!;
      check(
        answer.firstPosition === entry.firstPosition && answer.time === entry.time,
        () =>
          `request ${serial} of session ${this.#id} is answered ${answer.firstPosition}, and is at ${entry.firstPosition}`,
      );
      return;
    }
    ledger.appendEnds(number, answer);
    this.#progressUs = clock.nowUs;
    this.#answered.add(serial);
    while (this.#answered.delete(this.#oldest)) this.#oldest += 1;
    if (!this.#random.chance(this.#world.plan.repeatRate)) return;
    clock.after(this.#random.exponential(500_000), () => this.#send(serial, this.#chooseNode(), 0));
  }
}
