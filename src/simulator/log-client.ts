import type { Position } from "../base/types.ts";
import type { AppendAnswer } from "../core/effect.ts";
import type { Guards } from "../core/guards.ts";
import type { LogInput, LogOutput, RecordLabels } from "../linearizability/log-model.ts";
import { labelledBatch } from "./labelled-batch.ts";
import type { Call, LogClientWorld } from "./log-clients.ts";
import type { Random } from "./random.ts";
import type { ProposalBody } from "./request-desk.ts";
import type { SimNode } from "./sim-node.ts";
import { check } from "./violation.ts";

const tags = ["red", "green", "blue"];
const types = ["made", "moved"];

/** Tries of one call; then the client gives up. */
const triesMax = 20;

/** An append, fence or session that is being asked for, by one attempt or more. */
interface Asking {
  readonly call: Call;
  readonly body: ProposalBody;
  tries: number;
  /** Attempts that may still take effect, for all that the client knows. */
  open: number;
  isEnded: boolean;
  /** The answer that the call ended with, in a session: repeated requests must get it too. */
  first: AppendAnswer | undefined;
  readonly done: () => void;
}

/** One client. It asks by what it was told before, so that guards hold about as often as not. */
export class LogClient {
  readonly #name: string;
  readonly #world: LogClientWorld;
  readonly #random: Random;
  /** All calls of all clients: what this one asks is added. */
  readonly #calls: Call[];
  readonly #revisions = new Map<string, number>();
  #tail = 1;
  #fence = 0;
  #session: number | undefined;
  #serial = 0;

  constructor(name: string, world: LogClientWorld, random: Random, calls: Call[]) {
    this.#name = name;
    this.#world = world;
    this.#random = random;
    this.#calls = calls;
  }

  /** Asks one thing; calls `done` when it was told, or gave up. */
  visit(done: () => void): void {
    const random = this.#random;
    const draw = random.unit();
    if (draw < 0.25) this.#askTail(done);
    else if (draw < 0.3) this.#askFence(done);
    else if (draw < 0.4 && this.#session === undefined) this.#openSession(done);
    else if (draw < 0.33 && this.#session !== undefined) this.#closeSession(this.#session, done);
    else this.#append(done);
  }

  #begin(input: LogInput): Call {
    const { clock, desk } = this.#world;
    const number = input.kind === "append" ? desk.nextNumber() : 0;
    const call: Call = { client: this.#name, input, invokedAt: clock.nowUs, number, result: { kind: "unknown" } };
    this.#calls.push(call);
    return call;
  }

  /** Mostly a node that says that it leads; at times any. */
  #chooseNode(): SimNode {
    const nodes = this.#world.nodes();
    const leaders = nodes.filter((node) => node.replica?.view.role === "leader");
    return leaders.length > 0 && this.#random.chance(0.9) ? this.#random.pick(leaders) : this.#random.pick(nodes);
  }

  // ---- Questions

  #askTail(done: () => void): void {
    const call = this.#begin({ kind: "tail" });
    let isEnded = false;
    const end = (tail: Position | undefined): void => {
      if (isEnded) return;
      isEnded = true;
      if (tail === undefined) call.result = { kind: "none" };
      else this.#end(call, { kind: "tail", tail });
      done();
    };
    this.#world.desk.tail(this.#random.pick(this.#world.nodes()), end);
    this.#world.clock.after(this.#world.plan.patienceUs, () => end(undefined));
  }

  #openSession(done: () => void): void {
    const { desk, clock, plan } = this.#world;
    let isEnded = false;
    const end = (answer: AppendAnswer | "lost"): void => {
      if (isEnded) return;
      isEnded = true;
      if (answer !== "lost" && answer.kind === "session") {
        this.#session = answer.session;
        this.#serial = 0;
      }
      done();
    };
    const announceEnd = this.#random.chance(0.5);
    desk.propose(this.#chooseNode(), { kind: "openSession", ttlMs: plan.sessionTtlMs, announceEnd }, end);
    clock.after(plan.patienceUs, () => end("lost"));
  }

  /** Whatever is answered: nothing is asked in its name any more. */
  #closeSession(session: number, done: () => void): void {
    const { desk, clock, plan } = this.#world;
    this.#session = undefined;
    let isEnded = false;
    const end = (): void => {
      if (isEnded) return;
      isEnded = true;
      done();
    };
    desk.propose(this.#chooseNode(), { kind: "closeSession", session }, end);
    clock.after(plan.patienceUs, end);
  }

  // ---- What changes the log

  #askFence(done: () => void): void {
    const token = this.#fence + this.#random.below(2);
    this.#ask(this.#begin({ kind: "fence", token }), { kind: "fence", token }, done);
  }

  #append(done: () => void): void {
    const random = this.#random;
    const records = Array.from({ length: random.pick([1, 1, 1, 2, 5]) }, () => ({
      type: random.pick(types),
      tags: tags.filter(() => random.chance(0.3)),
    }));
    const guards = this.#drawGuards();
    const call = this.#begin({ kind: "append", records, guards });
    this.#world.ledger.appendBegins(call.number);
    this.#ask(call, { ...labelledBatch(call.number, records, this.#world.hashing), guards }, done);
  }

  #drawGuards(): Guards {
    const random = this.#random;
    const tag = random.pick(tags);
    const expected = random.pick(["noStream", "streamExists", "any", "known", "known", "known", "known"] as const);
    const revision = this.#revisions.get(tag) ?? 0;
    const known = revision === 0 ? "noStream" : (revision as Position);
    const query = { items: [{ types: types.filter(() => random.chance(0.4)), tags: random.chance(0.7) ? [tag] : [] }] };
    const expectedTail = this.#tail as Position;
    const after = (random.chance(0.1) ? 0 : this.#tail - 1) as Position | 0;
    return {
      ...(random.chance(0.3) ? { expectedTail } : {}),
      ...(random.chance(0.1) ? { fencingToken: Math.max(0, this.#fence - random.below(2)) } : {}),
      ...(random.chance(0.25) ? { conditions: [{ query, after }] } : {}),
      ...(random.chance(0.25) ? { streams: [{ tag, expected: expected === "known" ? known : expected }] } : {}),
      ...(random.chance(0.4) && this.#session !== undefined ? { session: this.#nextRequest(this.#session) } : {}),
    };
  }

  #nextRequest(id: number): NonNullable<Guards["session"]> {
    this.#serial += 1;
    return { id, serial: this.#serial };
  }

  #ask(call: Call, body: ProposalBody, done: () => void): void {
    const asking: Asking = { call, body, tries: 0, open: 0, isEnded: false, first: undefined, done };
    this.#try(asking);
    this.#world.clock.after(this.#world.plan.patienceUs, () => {
      if (!asking.isEnded) this.#giveUp(asking);
    });
    if (sessionOf(call.input) !== undefined && this.#random.chance(this.#world.plan.repeatRate)) this.#repeat(asking);
  }

  #try(asking: Asking): void {
    asking.tries += 1;
    asking.open += 1;
    this.#world.desk.propose(this.#chooseNode(), asking.body, (answer) => this.#onAnswer(asking, answer));
  }

  /** Another copy of the request, at some time, wherever it comes to. */
  #repeat(asking: Asking): void {
    const { clock, coverage, plan } = this.#world;
    clock.after(this.#random.exponential(plan.patienceUs), () => {
      // Nothing of it was taken, the client was told: nobody sends it any more.
      if (asking.isEnded && asking.call.result.kind === "none") return;
      coverage.count("history.repeated");
      this.#try(asking);
    });
  }

  #onAnswer(asking: Asking, answer: AppendAnswer | "lost"): void {
    const isUnknown = answer === "lost" || (answer.kind === "failed" && answer.outcome === "unknown");
    if (!isUnknown) asking.open -= 1;
    if (asking.isEnded) {
      this.#checkRepeated(asking, answer);
      return;
    }
    if (answer !== "lost" && answer.kind !== "failed") {
      this.#endWith(asking, answer);
      return;
    }
    const session = sessionOf(asking.call.input);
    const isForgotten = answer !== "lost" && answer.code === "SESSION_UNKNOWN";
    if (isForgotten && session?.id === this.#session) this.#session = undefined;
    // Without a session only a request of which nothing was taken may be sent again.
    const mayTry = session === undefined ? asking.open === 0 : !isForgotten;
    if (!mayTry || asking.tries >= triesMax) {
      this.#giveUp(asking);
      return;
    }
    this.#world.clock.after(this.#random.exponential(20_000), () => {
      if (!asking.isEnded) this.#try(asking);
    });
  }

  #giveUp(asking: Asking): void {
    asking.isEnded = true;
    const { call, open } = asking;
    if (open === 0) call.result = { kind: "none" };
    if (call.input.kind === "append") {
      const answer = { kind: "failed", code: "NOT_LEADER", outcome: "none" } as const;
      this.#world.ledger.appendEnds(call.number, open === 0 ? answer : "lost");
    }
    asking.done();
  }

  #endWith(asking: Asking, answer: Exclude<AppendAnswer, { kind: "failed" }>): void {
    asking.isEnded = true;
    asking.first = answer;
    const { call } = asking;
    if (call.input.kind === "append") this.#world.ledger.appendEnds(call.number, answer);
    if (answer.kind === "acknowledged") this.#end(call, { kind: "appended", first: answer.firstPosition });
    else if (answer.kind === "refused") this.#end(call, { kind: "refused", refusal: answer.refusal });
    else if (answer.kind === "fenced") this.#end(call, { kind: "fenced", fence: answer.fence, tail: answer.tail });
    asking.done();
  }

  /** The first answer again, or none: never another one. */
  #checkRepeated({ first, call }: Asking, answer: AppendAnswer | "lost"): void {
    if (answer === "lost" || answer.kind === "failed" || first === undefined) return;
    this.#world.coverage.count("history.repeatedAnswer");
    const [before, now] = [JSON.stringify(first), JSON.stringify(answer)];
    check(before === now, () => `${call.client}: append ${call.number} is answered ${now}, and was ${before}`);
  }

  #end(call: Call, output: LogOutput): void {
    call.result = { kind: "ok", output, returnedAt: this.#world.clock.nowUs };
    this.#learn(call.input, output);
  }

  /** Only what the answer says: whoever looked further would never be refused. */
  #learn(input: LogInput, output: LogOutput): void {
    switch (output.kind) {
      case "tail":
        this.#tail = output.tail;
        return;
      case "fenced":
        this.#fence = output.fence;
        this.#tail = output.tail;
        return;
      case "appended":
        this.#learnRecords(input.kind === "append" ? input.records : [], output.first);
        return;
      default: {
        const { guard, actual, tail } = output.refusal;
        this.#tail = tail ?? this.#tail;
        if (guard === "fencingToken") this.#fence = actual;
        if (guard === "stream" && input.kind === "append") this.#revisions.set(input.guards.streams![0]!.tag, actual);
      }
    }
  }

  #learnRecords(records: readonly RecordLabels[], first: number): void {
    this.#tail = first + records.length;
    for (const [index, record] of records.entries()) {
      for (const tag of record.tags) this.#revisions.set(tag, first + index);
    }
  }
}

function sessionOf(input: LogInput): Guards["session"] {
  return input.kind === "append" ? input.guards.session : undefined;
}
