/**
 * Random demands on a log and the judge of their answers, for tests that speak the wire protocol: whichever way a batch is appended,
 * the model of the log (src/linearizability/log-model.ts) says which answers are right.
 */
import { PaxlogError } from "../../src/base/errors.ts";
import { type Position, position } from "../../src/base/types.ts";
import type { Condition, Guards, StreamGuard } from "../../src/core/guards.ts";
import type { AppendRequest } from "../../src/format/api-codec.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import {
  type LogInput,
  type LogOutput,
  type LogState,
  makeLogModel,
  type RecordLabels,
} from "../../src/linearizability/log-model.ts";
import type { Random } from "../../src/simulator/random.ts";
import { appendOf } from "./test-client.ts";

export interface AppendInput extends Extract<LogInput, { kind: "append" }> {
  /** Of all its records; of no other append's. */
  readonly value?: string;
}

/** An answer as a client has it. */
export type Verdict = { readonly firstPosition: number } | PaxlogError;

const types = ["T", "U", "Ü"];
const tags = ["a", "b", "c"];

/** Draws appends, each request of a session now and then once more. */
export class Demands {
  readonly #random: Random;
  readonly #sessions: readonly number[];
  readonly #asked = new Map<number, AppendInput[]>();
  readonly #name: string;
  #count = 0;

  /** `name`: no other Demands on the same log has it. */
  constructor(random: Random, sessions: readonly number[], name = "") {
    this.#name = name;
    this.#random = random;
    this.#sessions = sessions;
  }

  /** `tail`: about the log's. */
  next(tail: number): AppendInput {
    this.#count += 1;
    const input = { ...drawAppend(this.#random, tail), value: `${this.#name} ${this.#count}` };
    if (this.#sessions.length === 0 || this.#random.chance(0.6)) return input;
    const id = this.#random.pick(this.#sessions);
    const asked = this.#asked.get(id) ?? [];
    this.#asked.set(id, asked);
    if (asked.length > 0 && this.#random.chance(0.4)) return this.#random.pick(asked);
    const guarded = { ...input, guards: { ...input.guards, session: { id, serial: asked.length + 1 } } };
    asked.push(guarded);
    return guarded;
  }
}

/** An append whose guards hold about as often as not. */
function drawAppend(random: Random, tail: number): AppendInput {
  const near = (): Position => position(Math.max(1, tail + random.pick([-2, -1, 0, 0, 0, 1])));
  const records: RecordLabels[] = Array.from({ length: random.pick([1, 1, 1, 3]) }, () => ({
    type: random.pick(types),
    tags: tags.filter(() => random.chance(0.3)),
  }));
  const drawItem = () => ({
    types: types.filter(() => random.chance(0.3)),
    tags: tags.filter(() => random.chance(0.4)),
  });
  const drawCondition = (): Condition => ({
    query: { items: Array.from({ length: random.between(1, 2) }, drawItem) },
    after: (near() - 1) as Position | 0,
  });
  const drawStream = (): StreamGuard => ({
    tag: random.pick(tags),
    expected: random.pick(["any", "noStream", "streamExists", near()] as const),
  });
  const guards: Guards = {
    ...(random.chance(0.3) && { expectedTail: near() }),
    ...(random.chance(0.2) && { fencingToken: random.below(4) }),
    ...(random.chance(0.3) && { conditions: Array.from({ length: random.between(1, 2) }, drawCondition) }),
    ...(random.chance(0.3) && { streams: Array.from({ length: random.between(1, 2) }, drawStream) }),
  };
  return { kind: "append", records, guards };
}

export function requestOf({ records, guards, value = "" }: AppendInput): AppendRequest {
  const encoded = encodeBatch(records.map(({ type, tags: own }) => ({ value, type, tags: [...own] })));
  return { ...appendOf(encoded), guards: Object.keys(guards).length === 0 ? undefined : guards };
}

export function outputOf(verdict: Verdict): LogOutput {
  if (!(verdict instanceof PaxlogError)) return { kind: "appended", first: verdict.firstPosition };
  const { guard, index, actual, fence, position: conflict, tail } = verdict.facts;
  const seen = [actual, fence, conflict].find((fact) => typeof fact === "number");
  if (typeof guard !== "string" || typeof seen !== "number") throw verdict;
  const named = guard as "expectedTail" | "fencingToken" | "condition" | "stream";
  return { kind: "refused", refusal: { guard: named, actual: seen, index: Number(index), tail: Number(tail) } };
}

/** The log as it must be after all answers so far. */
export class Judge {
  readonly #model = makeLogModel();
  #state: LogState = this.#model.initial;

  get tail(): number {
    return this.#state.log.tail;
  }

  /** Throws where the answer is not what the log answers now. */
  take(input: LogInput, output: LogOutput): void {
    const next = this.#model.step(this.#state, input, output);
    if (next === undefined) {
      const state = this.#model.describeState?.(this.#state);
      throw new Error(`at ${state} this is no right answer: ${this.#model.describe?.(input, output)}`);
    }
    this.#state = next;
  }
}
