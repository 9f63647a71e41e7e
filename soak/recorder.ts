import { PaxlogError } from "#src/base/errors";
import type { AppendOptions, Log, Session } from "#src/client/log";
import type { Guards } from "#src/core/guards";
import type { Operation, Result } from "#src/linearizability/history";
import type { LogInput, LogOutput, RecordLabels } from "#src/linearizability/log-model";

/** A promise of the log that is broken. */
export class BrokenPromise extends Error {
  override readonly name = "BrokenPromise";
}

/** A request of a session, by its serial. */
export interface InSession {
  readonly session: Session;
  readonly serial: number;
}

interface Recorded {
  readonly client: string;
  readonly input: LogInput;
  readonly invokedAt: number;
  result: Result<LogOutput>;
}

/** Values that records of one append have: `NAME` alone, or `NAME 0`, `NAME 1`, ... */
interface Appended {
  readonly values: readonly string[];
  readonly operations: Recorded[];
}

/**
 * What concurrent clients asked of a log and what they were told, by one clock, ready for the checker. Every record has a value of its
 * own, so that reading the log in the end tells what became of the appends that nobody answered.
 */
export class Recorder {
  readonly #operations: Recorded[] = [];
  readonly #appends = new Map<string, Appended>();

  get history(): readonly Operation<LogInput, LogOutput>[] {
    return this.#operations;
  }

  /** A client that asks through this log. */
  client(name: string, log: Log): RecordedClient {
    return new RecordedClient(this, name, log);
  }

  begin(client: string, input: LogInput): Recorded {
    const recorded: Recorded = { client, input, invokedAt: performance.now(), result: { kind: "unknown" } };
    this.#operations.push(recorded);
    return recorded;
  }

  /** Values for the records of an append; the same for one that is sent a second time. */
  valuesOf(name: string, operation: Recorded, count: number): readonly string[] {
    let append = this.#appends.get(name);
    if (append === undefined) {
      append = { values: Array.from({ length: count }, (_, index) => `${name} ${index}`), operations: [] };
      this.#appends.set(name, append);
    }
    append.operations.push(operation);
    return append.values;
  }

  /**
   * Holds everything against the log as it was read afterwards: value of position p at index p - 1. What was acknowledged is there,
   * what failed for certain is not, nothing is there twice. Appends of unknown outcome have one now.
   */
  settle(log: readonly string[], readAt: number): void {
    const positions = new Map<string, number>();
    for (const [index, value] of log.entries()) {
      const other = positions.get(value);
      if (other !== undefined) throw new BrokenPromise(`"${value}" is at positions ${other} and ${index + 1}`);
      positions.set(value, index + 1);
    }
    for (const [name, { values, operations }] of this.#appends) {
      const first = positions.get(values[0]!);
      for (const [index, value] of values.entries()) {
        const position = positions.get(value);
        positions.delete(value);
        if (position !== (first === undefined ? undefined : first + index)) {
          throw new BrokenPromise(
            `append ${name} begins at ${first ?? "no position"}, its record ${index} is at ${position}`,
          );
        }
      }
      for (const operation of operations) settleOne(name, operation, first, readAt);
      if (first !== undefined && operations.every(({ result }) => !isAppended(result))) {
        throw new BrokenPromise(`append ${name} failed for certain, and is at position ${first}`);
      }
    }
    for (const [value, position] of positions) throw new BrokenPromise(`nobody appended "${value}" at ${position}`);
  }
}

function settleOne(name: string, operation: Recorded, first: number | undefined, readAt: number): void {
  const { result } = operation;
  if (result.kind === "unknown") {
    operation.result =
      first === undefined ? { kind: "none" } : { kind: "ok", output: { kind: "appended", first }, returnedAt: readAt };
  } else if (result.kind === "ok" && result.output.kind === "appended" && result.output.first !== first) {
    throw new BrokenPromise(
      `append ${name} was acknowledged at ${result.output.first}, and is at ${first ?? "no position"}`,
    );
  }
}

const isAppended = (result: Result<LogOutput>): boolean => result.kind === "ok" && result.output.kind === "appended";

/** One client: what it asks is recorded, and what it is told. */
export class RecordedClient {
  readonly name: string;
  readonly #recorder: Recorder;
  #log: Log;
  #count = 0;

  constructor(recorder: Recorder, name: string, log: Log) {
    this.#recorder = recorder;
    this.name = name;
    this.#log = log;
  }

  get log(): Log {
    return this.#log;
  }

  /** Goes on through another connection. */
  reconnected(log: Log): void {
    this.#log = log;
  }

  async append(
    records: readonly RecordLabels[],
    guards: Omit<Guards, "session">,
    inSession?: InSession,
  ): Promise<Result<LogOutput>> {
    const session = inSession === undefined ? {} : { session: { id: inSession.session.id, serial: inSession.serial } };
    const operation = this.#recorder.begin(this.name, { kind: "append", records, guards: { ...guards, ...session } });
    this.#count += 1;
    const name =
      inSession === undefined ? `${this.name}/${this.#count}` : `session ${inSession.session.id}/${inSession.serial}`;
    const values = this.#recorder.valuesOf(name, operation, records.length);
    const inputs = records.map(({ type, tags }, index) => ({ type, tags, value: values[index]! }));
    const options = optionsOf(guards);
    return await settled(operation, async () => {
      const { first } =
        inSession === undefined
          ? await this.#log.append(inputs, options)
          : await inSession.session.append(inputs, { ...options, serial: inSession.serial });
      return { kind: "appended", first };
    });
  }

  async tail(): Promise<Result<LogOutput>> {
    const operation = this.#recorder.begin(this.name, { kind: "tail" });
    return await settled(operation, async () => ({ kind: "tail", tail: (await this.#log.tail()).tail }));
  }

  async fence(token: number): Promise<Result<LogOutput>> {
    const operation = this.#recorder.begin(this.name, { kind: "fence", token });
    // The library asks again where an answer was lost: the fence may stand since then, and the answer tells of the last time.
    this.#recorder.begin(this.name, { kind: "fence", token });
    return await settled(operation, async () => ({ kind: "fenced", ...(await this.#log.fence(token)) }));
  }
}

function optionsOf({ expectedTail, fencingToken, conditions, streams }: Omit<Guards, "session">): AppendOptions {
  return {
    expectedTail,
    fencingToken,
    condition: conditions?.map(({ query, after }) => ({ query: query.items, after })),
    streams,
  };
}

/** Notes the result of a call, whichever way it ends; anything but what a log may say under faults is thrown on. */
async function settled(operation: Recorded, call: () => Promise<LogOutput>): Promise<Result<LogOutput>> {
  operation.result = await call().then(
    (output) => ({ kind: "ok", output, returnedAt: performance.now() }) as const,
    (error: unknown) => resultOf(error, operation.input),
  );
  return operation.result;
}

function resultOf(error: unknown, input: LogInput): Result<LogOutput> {
  if (!(error instanceof PaxlogError)) throw error;
  // A question that was not answered changed nothing.
  if (input.kind === "tail") return { kind: "none" };
  if (error.outcome === "unknown") return { kind: "unknown" };
  const refusal = refusalOf(error);
  if (refusal !== undefined) return { kind: "ok", output: { kind: "refused", refusal }, returnedAt: performance.now() };
  if (error.retryable || error.code === "CLOSED" || error.code === "CANCELLED") return { kind: "none" };
  throw error;
}

function refusalOf({ code, facts }: PaxlogError): Extract<LogOutput, { kind: "refused" }>["refusal"] | undefined {
  const tail = facts.tail as number | undefined;
  switch (code) {
    case "TAIL_MISMATCH":
      return { guard: "expectedTail", actual: facts.actual as number, tail };
    case "FENCED":
      return { guard: "fencingToken", actual: facts.fence as number, tail };
    case "CONDITION_FAILED":
      return { guard: "condition", actual: facts.position as number, tail };
    case "STREAM_REVISION_MISMATCH":
      return { guard: "stream", actual: facts.actual as number, tail };
    default:
      return undefined;
  }
}
