import type { Position } from "../../src/base/types.ts";
import type { Guards, Refusal } from "../../src/core/guards.ts";
import type { Model, Operation, Result } from "../../src/linearizability/history.ts";
import type { LogInput, LogOutput, RecordLabels } from "../../src/linearizability/log-model.ts";
import type { Random } from "../../src/simulator/random.ts";

interface PlainState {
  readonly fence: number;
  /** By request of a session: what it was answered first. */
  readonly answers: Readonly<Record<string, readonly LogOutput[]>>;
  /** Record of position p at index p - 1. */
  readonly records: readonly RecordLabels[];
}

/** The log written down as simply as it can be: all records in an array, and every guard a look at all of them. */
export const plainLog: Model<PlainState, LogInput, LogOutput> = {
  initial: { fence: 0, answers: {}, records: [] },
  step(state, input, output) {
    const { right, next } = execute(state, input);
    const isRight = output === undefined || right.some((one) => JSON.stringify(one) === JSON.stringify(output));
    return isRight ? next : undefined;
  },
  stateKey: (state) => JSON.stringify(state),
};

/** All answers that are right, and the state after it. */
function execute(state: PlainState, input: LogInput): { right: LogOutput[]; next: PlainState } {
  const tail = (state.records.length + 1) as Position;
  if (input.kind === "tail") return { right: [{ kind: "tail", tail }], next: state };
  if (input.kind === "fence") {
    const { token } = input;
    if (token >= state.fence)
      return { right: [{ kind: "fenced", fence: token, tail }], next: { ...state, fence: token } };
    const refusal = { guard: "fencingToken", index: 0, actual: state.fence, tail } as const;
    return { right: [{ kind: "refused", refusal }], next: state };
  }
  const { session } = input.guards;
  const request = session === undefined ? "" : `${session.id}/${session.serial}`;
  const answered = state.answers[request];
  if (answered !== undefined) return { right: [...answered], next: state };
  const refusals = refusalsOf(state, input.guards, tail);
  const right: LogOutput[] =
    refusals.length === 0
      ? [{ kind: "appended", first: tail }]
      : refusals.map((refusal) => ({ kind: "refused", refusal }));
  const records = refusals.length === 0 ? [...state.records, ...input.records] : state.records;
  const answers = request === "" ? state.answers : { ...state.answers, [request]: right };
  return { right, next: { ...state, answers, records } };
}

function refusalsOf({ records, fence }: PlainState, guards: Guards, tail: Position): Refusal[] {
  const refusals: Refusal[] = [];
  if ((guards.expectedTail ?? tail) !== tail) {
    refusals.push({ guard: "expectedTail", index: 0, actual: tail, tail });
  }
  if ((guards.fencingToken ?? fence) < fence) refusals.push({ guard: "fencingToken", index: 0, actual: fence, tail });
  for (const [index, { query, after }] of (guards.conditions ?? []).entries()) {
    const hit = records.findIndex(
      ({ type, tags }, at) =>
        at + 1 > after &&
        query.items.some(
          (item) =>
            item.tags.every((tag) => tags.includes(tag)) && (item.types.length === 0 || item.types.includes(type)),
        ),
    );
    if (hit >= 0) refusals.push({ guard: "condition", index, actual: hit + 1, tail });
  }
  for (const [index, { tag, expected }] of (guards.streams ?? []).entries()) {
    const revision = records.findLastIndex(({ tags }) => tags.includes(tag)) + 1;
    const isMet =
      expected === "any" ||
      (expected === "noStream" && revision === 0) ||
      (expected === "streamExists" && revision > 0) ||
      expected === revision;
    if (!isMet) refusals.push({ guard: "stream", index, actual: revision, tail });
  }
  return refusals;
}

const tagNames = ["a", "b", "c"];
const typeNames = ["t", "u"];

/** An operation on a log that has about `tail` as its tail, so that its guards hold about as often as not. */
function drawInput(random: Random, tail: number): LogInput {
  const near = (): number => Math.max(1, tail + random.pick([-2, -1, 0, 0, 0, 1]));
  const some = <T>(rate: number, make: () => T): T | undefined => (random.chance(rate) ? make() : undefined);
  const kind = random.below(10);
  if (kind === 0) return { kind: "tail" };
  if (kind === 1) return { kind: "fence", token: random.below(4) };
  const records = Array.from({ length: random.pick([1, 1, 1, 3]) }, () => ({
    type: random.pick(typeNames),
    tags: tagNames.filter(() => random.chance(0.4)),
  }));
  const drawItem = () => ({
    types: typeNames.filter(() => random.chance(0.3)),
    tags: tagNames.filter(() => random.chance(0.4)),
  });
  const guards = {
    expectedTail: some(0.3, () => near() as Position),
    fencingToken: some(0.2, () => random.below(4)),
    session: some(0.3, () => ({ id: random.pick([3, 4]), serial: random.between(1, 3) })),
    conditions: some(0.3, () =>
      Array.from({ length: random.between(1, 2) }, () => ({
        query: { items: Array.from({ length: random.between(1, 2) }, drawItem) },
        after: (near() - 1) as Position,
      })),
    ),
    streams: some(0.3, () =>
      Array.from({ length: random.between(1, 2) }, () => ({
        tag: random.pick(tagNames),
        expected: random.pick(["any", "noStream", "streamExists", near() as Position] as const),
      })),
    ),
  };
  const named = Object.fromEntries(Object.entries(guards).filter(([, guard]) => guard !== undefined)) as Guards;
  return { kind: "append", records, guards: named };
}

/** A small concurrent history of the plain log; in half of them some outputs are of another moment, or of none. */
export function drawLogHistory(random: Random, operationsMax: number): Operation<LogInput, LogOutput>[] {
  const effects = Array.from({ length: random.between(2, operationsMax) }, () => {
    const invokedAt = random.below(12);
    return { invokedAt, effectAt: invokedAt + random.unit() * random.pick([1, 3, 8]) };
  }).toSorted((one, other) => one.effectAt - other.effectAt);
  const wrongRate = random.pick([0, 0.15, 0.3]);
  let state = plainLog.initial;
  let before = state;
  return effects.map(({ invokedAt, effectAt }, index) => {
    const input = drawInput(random, state.records.length + 1);
    const kind = random.pick(["ok", "ok", "ok", "ok", "unknown", "none"] as const);
    const isWrong = random.chance(wrongRate);
    // An answer of an earlier moment is what a stale leader would say.
    const { right } = execute(isWrong ? before : state, input);
    if (random.chance(0.5)) before = state;
    if (kind === "ok" || (kind === "unknown" && random.chance(0.5))) state = execute(state, input).next;
    const output = isWrong && random.chance(0.5) ? shifted(random.pick(right)) : random.pick(right);
    const result: Result<LogOutput> =
      kind === "ok" ? { kind, output, returnedAt: Math.ceil(effectAt) + random.below(2) } : { kind };
    return { client: `client ${index}`, input, invokedAt, result };
  });
}

function shifted(output: LogOutput): LogOutput {
  switch (output.kind) {
    case "appended":
      return { ...output, first: output.first + 1 };
    case "refused":
      return { ...output, refusal: { ...output.refusal, actual: output.refusal.actual + 1 } };
    default:
      return { ...output, tail: output.tail + 1 };
  }
}

/** Operations one after another on one log, each with answers that are right and others that are not. */
export function answersOf(
  random: Random,
  count: number,
): { readonly input: LogInput; readonly answers: { readonly output: LogOutput; readonly isRight: boolean }[] }[] {
  let state = plainLog.initial;
  return Array.from({ length: count }, () => {
    const input = drawInput(random, state.records.length + 1);
    const { right, next } = execute(state, input);
    state = next;
    const answers = right.flatMap((output) => [
      { output, isRight: true },
      {
        output: shifted(output),
        isRight: right.some((one) => JSON.stringify(one) === JSON.stringify(shifted(output))),
      },
    ]);
    return { input, answers };
  });
}
