import { connect } from "#src/client/connect";
import type { ConnectOptions } from "#src/client/log";
import { checkLinearizable } from "#src/linearizability/checker";
import { explain } from "#src/linearizability/explain";
import type { Model, Operation } from "#src/linearizability/history";
import { describeAnomaly, findAnomaly, type ListOperation } from "#src/linearizability/list-append";
import { counterModel, leaseModel, makeRegisterModel, type RegisterSeen } from "#src/linearizability/object-models";
import { Random } from "#src/simulator/random";
import { Nemesis, type NemesisPlan } from "./nemesis.ts";
import { ObjectClient, ObjectHistory } from "./object-client.ts";
import { BrokenPromise } from "./recorder.ts";
import { pause, type SoakContext, withCluster } from "./soak-cluster.ts";
import { throwUnlessRetryable } from "./writer.ts";

export interface ObjectHistoryPlan extends NemesisPlan {
  readonly seconds: number;
  readonly clients: number;
  /** Mean pause of a client between two calls. */
  readonly thinkMs: number;
  /** For the checker, each kind of object. */
  readonly checkMs: number;
}

export interface ObjectHistoryReport {
  readonly counters: number;
  readonly registers: number;
  readonly leases: number;
  readonly transactions: number;
  /** Of all of them, those without an answer. */
  readonly unknown: number;
  readonly strikes: Readonly<Record<string, number>>;
}

const connectOptions: ConnectOptions = { deadlineMs: 4_000, answerMs: 2_000, closeMs: 100 };
const keys = ["x", "y", "z"];

/**
 * Clients share counters, registers, leases and lists in the space while nodes are killed and paused. Each object must be linearizable,
 * the transactions over the lists strictly serializable. Throws BrokenPromise otherwise.
 */
export async function runObjectHistory(context: SoakContext, plan: ObjectHistoryPlan): Promise<ObjectHistoryReport> {
  return await withCluster(context, async (cluster) => {
    const random = new Random(context.seed);
    const history = new ObjectHistory();
    const nemesis = new Nemesis({ cluster, random: random.fork(), plan, note: context.note });
    const addresses = cluster.clientAddresses;
    nemesis.start();
    const endAt = performance.now() + plan.seconds * 1000;
    const visitors = Array.from({ length: plan.clients }, (_, index) => new Visitor(index + 1, history, random.fork()));
    try {
      await Promise.all(visitors.map((visitor) => visitor.visitUntil(endAt, addresses, plan.thinkMs)));
    } finally {
      await nemesis.stop();
    }
    await readAll(addresses, history);
    const { counters, registers, leases, lists } = history;
    context.note(`judging ${counters.length + registers.length + leases.length + lists.length} operations`);
    judge(counterModel, counters, plan.checkMs);
    judge(makeRegisterModel(registers), registers, plan.checkMs);
    judge(leaseModel, leases, plan.checkMs);
    const anomaly = findAnomaly(lists);
    if (anomaly !== undefined) throw new BrokenPromise(describeAnomaly(anomaly, lists));
    return {
      counters: counters.length,
      registers: registers.length,
      leases: leases.length,
      transactions: lists.length,
      unknown: [counters, registers, leases, lists].flat().filter(({ result }) => result.kind === "unknown").length,
      strikes: nemesis.counts,
    };
  });
}

/** What all lists hold when everything is over: so that no append is unread. */
async function readAll(addresses: string, history: ObjectHistory): Promise<void> {
  const log = await connect(addresses);
  try {
    await new ObjectClient("last", log, history).transact(keys.map((key) => ({ kind: "read", key })));
  } finally {
    await log.close();
  }
}

function judge<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  timeMs: number,
): void {
  const verdict = checkLinearizable(model, history, { timeMs });
  if (verdict.kind !== "linearizable") throw new BrokenPromise(explain(model, verdict));
}

class Visitor {
  readonly #number: number;
  readonly #history: ObjectHistory;
  readonly #random: Random;
  readonly #seen = new Map<string, RegisterSeen>();
  #count = 0;

  constructor(number: number, history: ObjectHistory, random: Random) {
    this.#number = number;
    this.#history = history;
    this.#random = random;
  }

  /** At times its process ends, as far as the log can tell, and another one goes on. */
  async visitUntil(endAt: number, addresses: string, thinkMs: number): Promise<void> {
    while (performance.now() < endAt) {
      try {
        const log = await connect(addresses, connectOptions);
        try {
          const client = new ObjectClient(`client ${this.#number}`, log, this.#history);
          while (performance.now() < endAt && !this.#random.chance(0.02)) {
            await this.#visit(client);
            await pause(this.#random.exponential(thinkMs));
          }
        } finally {
          await log.close();
        }
      } catch (error) {
        throwUnlessRetryable(error);
        await pause(100);
      }
    }
  }

  async #visit(client: ObjectClient): Promise<void> {
    const random = this.#random;
    const name = random.pick(["a", "b"]);
    switch (random.pick(["counter", "register", "register", "lists", "lists", "lease"] as const)) {
      case "counter":
        return client.counter(
          random.chance(0.3) ? { kind: "get", name } : { kind: "add", name, delta: random.between(1, 9) },
        );
      case "register":
        return this.#visitRegister(client, name);
      case "lists":
        return client.transact(Array.from({ length: random.between(1, 4) }, () => this.#drawOperation()));
      default:
        return client.lease(name, () => pause(random.below(20)));
    }
  }

  async #visitRegister(client: ObjectClient, name: string): Promise<void> {
    const random = this.#random;
    const value = `${this.#number}/${this.#next()}`;
    const { version = 0, value: last = "none" } = this.#seen.get(name) ?? {};
    const draw = random.unit();
    let seen: RegisterSeen | undefined;
    if (draw < 0.4) seen = await client.register({ kind: "get", name });
    else if (draw < 0.5) seen = await client.register({ kind: "set", name, value });
    else if (draw < 0.6) seen = await client.register({ kind: "writeOnce", name, value });
    else if (draw < 0.65) seen = await client.register({ kind: "delete", name });
    else {
      const expected = random.chance(0.5) ? { version } : { value: last };
      seen = await client.register({ kind: "compareAndSet", name, expected, next: value });
    }
    if (seen !== undefined) this.#seen.set(name, seen);
  }

  #drawOperation(): ListOperation {
    const key = this.#random.pick(keys);
    if (this.#random.chance(0.5)) return { kind: "read", key };
    return { kind: "append", key, value: this.#number * 2 ** 24 + this.#next() };
  }

  #next(): number {
    this.#count += 1;
    return this.#count;
  }
}
