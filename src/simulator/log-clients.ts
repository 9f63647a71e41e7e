import type { Hashing } from "../base/hashing.ts";
import { checkLinearizable } from "../linearizability/checker.ts";
import { explain } from "../linearizability/explain.ts";
import type { Operation } from "../linearizability/history.ts";
import { type LogInput, type LogOutput, makeLogModel } from "../linearizability/log-model.ts";
import { sessionEndType } from "../machine/machine.ts";
import type { VirtualClock } from "./clock.ts";
import type { Coverage } from "./coverage.ts";
import type { LandedAppend, Ledger } from "./ledger.ts";
import { LogClient } from "./log-client.ts";
import type { Random } from "./random.ts";
import type { RequestDesk } from "./request-desk.ts";
import type { SimNode } from "./sim-node.ts";
import { check } from "./violation.ts";

export interface LogClientsPlan {
  readonly count: number;
  /** Mean time between two calls of one client. */
  readonly thinkMeanUs: number;
  /** Then a client gives a call up, and its outcome is unknown. */
  readonly patienceUs: number;
  /** Part of the requests of sessions that are sent a second time, at once or long after. */
  readonly repeatRate: number;
  readonly sessionTtlMs: number;
}

/** What all clients of a run share. */
export interface LogClientWorld {
  readonly clock: VirtualClock;
  readonly hashing: Hashing;
  readonly ledger: Ledger;
  readonly coverage: Coverage;
  readonly desk: RequestDesk;
  readonly nodes: () => readonly SimNode[];
  readonly plan: LogClientsPlan;
}

/** What one client asked, while it may still be answered. */
export interface Call {
  readonly client: string;
  readonly input: LogInput;
  readonly invokedAt: number;
  /** Of an append: its number in the ledger. */
  readonly number: number;
  result: Operation<LogInput, LogOutput>["result"];
}

/** The real search for a verdict takes milliseconds; this is for a search that does not end. */
const checkMs = 60_000;

/**
 * Clients that append under guards, look at the tail and raise the fence, each one thing at a time, on nodes that fail. All that they
 * asked and were told is one history, which must be linearizable in the end.
 */
export class LogClients {
  readonly #world: LogClientWorld;
  readonly #random: Random;
  readonly #calls: Call[] = [];
  #isStopped = false;

  constructor(world: LogClientWorld, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  start(): void {
    for (let index = 1; index <= this.#world.plan.count; index += 1) {
      const random = this.#random.fork();
      const client = new LogClient(`client ${index}`, this.#world, random, this.#calls);
      const visit = (): void => {
        this.#world.clock.after(random.exponential(this.#world.plan.thinkMeanUs), () => {
          if (!this.#isStopped) client.visit(visit);
        });
      };
      visit();
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Judges what all clients saw. Appends without an outcome have the one that the one history shows. */
  check(): void {
    const { ledger, coverage } = this.#world;
    const ends = this.#announcedEnds();
    const history = [...this.#calls.map((call) => this.#settled(call)), ...this.#appendsOfOthers(), ...ends];
    const model = makeLogModel();
    const verdict = checkLinearizable(model, history, { timeMs: checkMs });
    check(verdict.kind === "linearizable", () => explain(model, verdict));
    coverage.add("history.operations", this.#calls.length);
    for (const { input, result } of this.#calls) {
      coverage.count(`history.${result.kind === "ok" ? result.output.kind : `${input.kind}.${result.kind}`}`);
    }
    coverage.add("history.sessionEnds", ends.length);
    coverage.add("history.entries", ledger.end - 1);
  }

  #settled({ client, input, invokedAt, number, result }: Call): Operation<LogInput, LogOutput> {
    if (input.kind !== "append" || result.kind !== "unknown") return { client, input, invokedAt, result };
    const landed = this.#world.ledger.landed(number);
    return { client, input, invokedAt, result: landed === undefined ? { kind: "none" } : resultOf(landed) };
  }

  /** The sequencer's own batches: one that nobody waits for may come at any time. */
  #announcedEnds(): Operation<LogInput, LogOutput>[] {
    return this.#world.ledger.announcedEnds.map(({ entry, decidedUs }) => ({
      client: "sequencer",
      input: { kind: "append", records: [{ type: sessionEndType, tags: [] }], guards: {} },
      invokedAt: 0,
      result: { kind: "ok", output: { kind: "appended", first: entry.firstPosition }, returnedAt: decidedUs },
    }));
  }

  /** The workload appends too: records without labels. */
  #appendsOfOthers(): Operation<LogInput, LogOutput>[] {
    const own = new Set(this.#calls.map(({ number }) => number));
    return [...this.#world.ledger.allLanded()]
      .filter(({ id }) => !own.has(id))
      .map((landed) => ({
        client: "workload",
        input: { kind: "append", records: Array(landed.entry.recordCount).fill(noLabels), guards: {} },
        invokedAt: landed.beganUs,
        result: resultOf(landed),
      }));
  }
}

const noLabels = { type: "", tags: [] };

/**
 * Decided is done: an operation that sees the append ends after that moment, and one that begins after it sees the append. To say
 * "at any time" instead would be as right, and leave the checker to find out.
 */
function resultOf({ entry, decidedUs }: LandedAppend): Call["result"] {
  return { kind: "ok", output: { kind: "appended", first: entry.firstPosition }, returnedAt: decidedUs };
}
