import { fileURLToPath } from "node:url";
import type { LocalCluster } from "#src/cli/local-cluster";
import { connect } from "#src/client/connect";
import type { ConnectOptions } from "#src/client/log";
import { type AccountInput, accountModel, accountNames } from "#src/linearizability/account-model";
import { checkLinearizable } from "#src/linearizability/checker";
import { makeDecisionModel } from "#src/linearizability/decision-model";
import { explain } from "#src/linearizability/explain";
import type { Model, Operation } from "#src/linearizability/history";
import { describeAnomaly, findAnomaly, type ListOperation } from "#src/linearizability/list-append";
import {
  counterModel,
  leaseModel,
  makeRegisterModel,
  type RegisterInput,
  type RegisterSeen,
} from "#src/linearizability/object-models";
import { Random } from "#src/simulator/random";
import { Nemesis, type NemesisPlan } from "./nemesis.ts";
import type { Network } from "./network.ts";
import { ObjectClient, ObjectHistory, participants } from "./object-client.ts";
import { BrokenPromise } from "./recorder.ts";
import { pause, type SoakContext, withNetwork } from "./soak-cluster.ts";
import { receiptsOf } from "./space-calls.ts";
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
  readonly keys: number;
  readonly leases: number;
  readonly decisions: number;
  /** Transfers and audits, by procedures and by transactions. */
  readonly accounts: number;
  /** Over lists. */
  readonly transactions: number;
  /** Of all of them, those without an answer. */
  readonly unknown: number;
  readonly strikes: Readonly<Record<string, number>>;
}

const connectOptions: ConnectOptions = { deadlineMs: 4_000, answerMs: 2_000, closeMs: 100 };
const keys = ["x", "y", "z"];
/** Of the history of one decision: then the next one is voted on. */
const decisionMs = 400;
/** For `paxlog serve`, which does not read TypeScript. */
const procedures = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./procedures.mjs" : "../procedures.mjs", import.meta.url),
);

/**
 * Clients share counters, registers, keys, leases, decisions, accounts and lists while nodes are killed, paused and cut off. Each object
 * must be linearizable, transfers as a whole, the transactions over the lists strictly serializable. Throws BrokenPromise otherwise.
 */
export async function runObjectHistory(context: SoakContext, plan: ObjectHistoryPlan): Promise<ObjectHistoryReport> {
  const use = async (cluster: LocalCluster, network: Network): Promise<ObjectHistoryReport> => {
    const random = new Random(context.seed);
    const history = new ObjectHistory();
    const nemesis = new Nemesis({ cluster, network, random: random.fork(), plan, note: context.note });
    const addresses = network.clientAddresses;
    const endAt = performance.now() + plan.seconds * 1000;
    const visitors = Array.from({ length: plan.clients }, (_, index) => new Visitor(index + 1, history, random.fork()));
    await nemesis.during(() =>
      Promise.all(visitors.map((visitor) => visitor.visitUntil(endAt, addresses, plan.thinkMs))),
    );
    const all = [history.counters, history.registers, history.keys, history.leases, history.decisions];
    const unknown = [...all, history.accounts, history.lists].flat().filter(({ result }) => result.kind === "unknown");
    await readAll(addresses, history);
    judgeAll(history, plan.checkMs, context.note);
    return { ...countsOf(history), unknown: unknown.length, strikes: nemesis.counts };
  };
  return await withNetwork(context, use, { flags: () => ["--procedures", procedures] });
}

const countsOf = (history: ObjectHistory) => ({
  counters: history.counters.length,
  registers: history.registers.length,
  keys: history.keys.length,
  leases: history.leases.length,
  decisions: history.decisions.length,
  accounts: history.accounts.length,
  transactions: history.lists.length,
});

function judgeAll(history: ObjectHistory, checkMs: number, note: (line: string) => void): void {
  const { counters, registers, keys: keyed, leases, decisions, accounts, lists } = history;
  note(`judging ${JSON.stringify(countsOf(history))}`);
  judge(counterModel, counters, checkMs);
  judge(makeRegisterModel(registers), registers, checkMs);
  judge(makeRegisterModel(keyed), keyed, checkMs);
  judge(leaseModel, leases, checkMs);
  judge(makeDecisionModel(participants), decisions, checkMs);
  judge(accountModel, accounts, checkMs);
  const anomaly = findAnomaly(lists);
  if (anomaly !== undefined) throw new BrokenPromise(describeAnomaly(anomaly, lists));
}

/** What all lists hold when everything is over, so that no append is unread, and which transfers took place. */
async function readAll(addresses: string, history: ObjectHistory): Promise<void> {
  const log = await connect(addresses);
  try {
    await new ObjectClient("last", log, history).transact(keys.map((key) => ({ kind: "read", key })));
    history.settle(await receiptsOf(log), performance.now());
  } finally {
    await log.close();
  }
}

const kinds = ["counter", "register", "key", "lists", "lists", "lease", "accounts", "decision"] as const;

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
  /** Of registers and keys. */
  readonly #seen = { register: new Map<string, RegisterSeen>(), key: new Map<string, RegisterSeen>() } as const;
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
    const kind = random.pick(kinds);
    switch (kind) {
      case "counter":
        return client.counter(
          random.chance(0.3) ? { kind: "get", name } : { kind: "add", name, delta: random.between(1, 9) },
        );
      case "register":
      case "key":
        return this.#visitValue(client, kind, name);
      case "accounts":
        return client.accounts(this.#drawTransfer(name), random.pick(["procedure", "transaction"]));
      case "decision":
        return this.#visitDecision(client);
      case "lists":
        return client.transact(Array.from({ length: random.between(1, 4) }, () => this.#drawOperation()));
      default:
        return client.lease(name, () => pause(random.below(20)));
    }
  }

  async #visitValue(client: ObjectClient, kind: "register" | "key", name: string): Promise<void> {
    const random = this.#random;
    const value = `${this.#number}/${this.#next()}`;
    const { version = 0, value: last = "none" } = this.#seen[kind].get(name) ?? {};
    const draw = random.unit();
    let input: RegisterInput;
    if (draw < 0.4) input = { kind: "get", name };
    else if (draw < 0.5) input = { kind: "set", name, value };
    else if (draw < 0.6) input = { kind: "writeOnce", name, value };
    else if (draw < 0.65) input = { kind: "delete", name };
    else {
      const expected = random.chance(0.5) ? { version } : { value: last };
      input = { kind: "compareAndSet", name, expected, next: value };
    }
    const seen = kind === "register" ? await client.register(input) : await client.key(input);
    if (seen !== undefined) this.#seen[kind].set(name, seen);
  }

  /** Clients meet at the decision of the hour, each as one of its participants. */
  async #visitDecision(client: ObjectClient): Promise<void> {
    const random = this.#random;
    const name = `d${Math.floor(performance.now() / decisionMs)}`;
    const participant = participants[this.#number % participants.length]!;
    await client.decide({ kind: "begin", name }, random.between(50, 2 * decisionMs));
    for (let asked = random.below(3); asked > 0; asked -= 1) {
      const draw = random.unit();
      if (draw < 0.6) await client.decide({ kind: "vote", name, participant, yes: random.chance(0.9) }, 0);
      else await client.decide({ kind: draw < 0.8 ? "get" : "settle", name }, 0);
    }
    if (random.chance(0.5)) await client.decide({ kind: "settle", name }, 0);
  }

  #drawTransfer(group: string): AccountInput {
    const random = this.#random;
    if (random.chance(0.3)) return { kind: "audit", group };
    const [from, to] = random.shuffle([...accountNames]);
    return { kind: "transfer", group, from: from!, to: to!, amount: random.between(1, 60) };
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
