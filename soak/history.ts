import type { Position } from "#src/base/types";
import { connect } from "#src/client/connect";
import type { ConnectOptions, Log, Session } from "#src/client/log";
import type { Guards } from "#src/core/guards";
import { checkLinearizable } from "#src/linearizability/checker";
import { explain } from "#src/linearizability/explain";
import type { Result } from "#src/linearizability/history";
import { type LogOutput, makeLogModel, type RecordLabels } from "#src/linearizability/log-model";
import { Random } from "#src/simulator/random";
import { Nemesis, type NemesisPlan } from "./nemesis.ts";
import { BrokenPromise, type RecordedClient, Recorder } from "./recorder.ts";
import { pause, type SoakContext, withNetwork } from "./soak-cluster.ts";

export interface HistoryPlan extends NemesisPlan {
  readonly seconds: number;
  readonly clients: number;
  /** Mean pause of a client between two calls. */
  readonly thinkMs: number;
  /** For the checker. */
  readonly checkMs: number;
}

export interface HistoryReport {
  readonly operations: number;
  readonly appended: number;
  readonly refused: number;
  /** Without an answer; in the log, or not, as the last read showed. */
  readonly unknown: number;
  readonly configurations: number;
  readonly strikes: Readonly<Record<string, number>>;
}

const tags = ["red", "green", "blue"];
const types = ["made", "moved"];
/** A client that waits longer than its node is away sees less. */
const connectOptions: ConnectOptions = { deadlineMs: 4_000, answerMs: 2_000, closeMs: 100 };

/**
 * Clients append under guards, read tails and raise fences while nodes are killed and paused; then the log is read, and what all of
 * them saw must be what one log could have told them. Throws BrokenPromise where it is not.
 */
export async function runHistory(context: SoakContext, plan: HistoryPlan): Promise<HistoryReport> {
  return await withNetwork(context, async (cluster, network) => {
    const random = new Random(context.seed);
    const recorder = new Recorder();
    const nemesis = new Nemesis({ cluster, network, random: random.fork(), plan, note: context.note });
    const endAt = performance.now() + plan.seconds * 1000;
    await nemesis.during(async () => {
      const clients = Array.from({ length: plan.clients }, (_, index) =>
        runClient(`client ${index + 1}`, recorder, network.clientAddresses, random.fork(), plan.thinkMs, endAt),
      );
      await Promise.all(clients);
    });
    const unknown = recorder.history.filter(({ result }) => result.kind === "unknown").length;
    recorder.settle(await readValues(network.clientAddresses), performance.now());
    context.note(`judging ${recorder.history.length} operations`);
    const configurations = judge(recorder, plan.checkMs);
    const counted = (kind: LogOutput["kind"]): number =>
      recorder.history.filter(({ result }) => result.kind === "ok" && result.output.kind === kind).length;
    return {
      operations: recorder.history.length,
      appended: counted("appended"),
      refused: counted("refused"),
      unknown,
      configurations,
      strikes: nemesis.counts,
    };
  });
}

function judge(recorder: Recorder, timeMs: number): number {
  const model = makeLogModel();
  const verdict = checkLinearizable(model, recorder.history, { timeMs });
  if (verdict.kind !== "linearizable") throw new BrokenPromise(explain(model, verdict));
  return verdict.configurations;
}

async function readValues(addresses: string): Promise<string[]> {
  const log = await connect(addresses);
  try {
    const values: string[] = [];
    for await (const record of log.read({ from: 1 })) values.push(Buffer.from(record.value).toString());
    return values;
  } finally {
    await log.close();
  }
}

async function runClient(
  name: string,
  recorder: Recorder,
  addresses: string,
  random: Random,
  thinkMs: number,
  endAt: number,
): Promise<void> {
  const log = await connect(addresses, connectOptions);
  const client = recorder.client(name, log);
  const visitor = new Visitor(client, random);
  try {
    while (performance.now() < endAt) {
      // At times several at once, which travel one behind the other.
      await Promise.all(Array.from({ length: random.pick([1, 1, 1, 4]) }, () => visitor.visit()));
      await pause(random.exponential(thinkMs));
    }
  } finally {
    await client.log.close();
  }
}

/** Asks at random, by what it was told before, so that guards hold about as often as not. */
class Visitor {
  readonly #client: RecordedClient;
  readonly #random: Random;
  readonly #revisions = new Map<string, number>();
  #tail = 1;
  #fence = 0;
  #session: Session | undefined;
  #serial = 0;

  constructor(client: RecordedClient, random: Random) {
    this.#client = client;
    this.#random = random;
  }

  async visit(): Promise<void> {
    const random = this.#random;
    const draw = random.unit();
    if (draw < 0.2) this.#learn(await this.#client.tail(), undefined, undefined);
    else if (draw < 0.22) this.#learn(await this.#client.fence(this.#fence + random.below(2)), undefined, undefined);
    else await this.#append();
  }

  async #append(): Promise<void> {
    const random = this.#random;
    const records = Array.from({ length: random.pick([1, 1, 1, 2, 5]) }, () => ({
      type: random.pick(types),
      tags: tags.filter(() => random.chance(0.3)),
    }));
    const guards = this.#drawGuards();
    const inSession = random.chance(0.15) ? await this.#nextOfSession(this.#client.log) : undefined;
    this.#learn(await this.#client.append(records, guards, inSession), records, guards);
  }

  #drawGuards(): Omit<Guards, "session"> {
    const random = this.#random;
    const tag = random.pick(tags);
    const expected = random.pick(["noStream", "streamExists", "any", "known", "known", "known", "known"] as const);
    const revision = this.#revisions.get(tag);
    const known = revision === undefined || revision === 0 ? "noStream" : (revision as Position);
    const query = { items: [{ types: types.filter(() => random.chance(0.4)), tags: random.chance(0.7) ? [tag] : [] }] };
    return {
      ...(random.chance(0.3) ? { expectedTail: this.#tail as Position } : {}),
      ...(random.chance(0.1) ? { fencingToken: Math.max(0, this.#fence - random.below(2)) } : {}),
      ...(random.chance(0.25) ? { conditions: [{ query, after: (this.#tail - 1) as Position | 0 }] } : {}),
      ...(random.chance(0.25) ? { streams: [{ tag, expected: expected === "known" ? known : expected }] } : {}),
    };
  }

  /** A client whose session failed to open goes on without one. */
  async #nextOfSession(log: Log): Promise<{ readonly session: Session; readonly serial: number } | undefined> {
    try {
      this.#session ??= await log.session({ ttlMs: 60_000 });
    } catch {
      return undefined;
    }
    this.#serial += 1;
    return { session: this.#session, serial: this.#serial };
  }

  /** Only what the answer says: whoever looked further would never be refused. */
  #learn(
    result: Result<LogOutput>,
    records: readonly RecordLabels[] | undefined,
    guards: Omit<Guards, "session"> | undefined,
  ): void {
    if (result.kind !== "ok") return;
    const { output } = result;
    switch (output.kind) {
      case "tail":
        this.#tail = output.tail;
        return;
      case "fenced":
        this.#fence = output.fence;
        this.#tail = output.tail;
        return;
      case "appended":
        this.#tail = output.first + (records?.length ?? 0);
        for (const [index, record] of (records ?? []).entries()) {
          for (const tag of record.tags) this.#revisions.set(tag, output.first + index);
        }
        return;
      case "refused": {
        const { guard, actual, tail } = output.refusal;
        if (tail !== undefined) this.#tail = tail;
        if (guard === "fencingToken") this.#fence = actual;
        if (guard === "stream") this.#revisions.set(guards!.streams![0]!.tag, actual);
        return;
      }
    }
  }
}
