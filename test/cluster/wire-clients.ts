import type { Client } from "@grpc/grpc-js";
import { PaxlogError } from "../../src/base/errors.ts";
import {
  type AppendRequest,
  appendRequestCodec,
  appendResponseCodec,
  appendStreamRequestCodec,
  appendStreamResponseCodec,
  type Codec,
  checkTailRequestCodec,
  checkTailResponseCodec,
  logServicePaths,
} from "../../src/format/api-codec.ts";
import {
  fenceRequestCodec,
  fenceResponseCodec,
  openSessionRequestCodec,
  openSessionResponseCodec,
} from "../../src/format/session-codec.ts";
import type { Operation, Result } from "../../src/linearizability/history.ts";
import type { LogInput, LogOutput } from "../../src/linearizability/log-model.ts";
import { type CallFailure, call, connectTo, endOf, openAppendStream, unwrap } from "../transport/test-client.ts";
import { type AppendInput, outputOf, requestOf } from "../transport/verdicts.ts";
import { pause } from "./harness.ts";

export type LogOperation = Operation<LogInput, LogOutput>;

/** What every client of a test writes its operations into. */
export interface Recorder {
  readonly history: LogOperation[];
  /** The largest tail that anybody was told. */
  tail: number;
}

/**
 * A client without the library: plain gRPC to one node at a time, led on by the facts of errors, that writes down what it asked and
 * was told. It never waits for an answer that may not come, and never takes a lost one for a refusal.
 */
export class WireClient {
  readonly name: string;
  readonly #recorder: Recorder;
  readonly #ports: readonly number[];
  #port: number;
  #client: Client;

  constructor(name: string, ports: readonly number[], recorder: Recorder) {
    this.name = name;
    this.#ports = ports;
    this.#recorder = recorder;
    this.#port = ports[0]!;
    this.#client = connectTo(this.#port);
  }

  close(): void {
    this.#client.close();
  }

  /** Keeps asking until a node answers; only for what needs no place in the history. */
  async openSession(): Promise<number> {
    for (;;) {
      const request = { logId: 1, ttlMs: 600_000 };
      const { openSession: path } = logServicePaths;
      const asked = this.#call(path, openSessionRequestCodec, openSessionResponseCodec, request);
      const answer = await asked.catch((failure: CallFailure) => failure);
      if ("session" in answer) return answer.session;
      await this.#follow(answer.error);
    }
  }

  async append(input: AppendInput): Promise<Result<LogOutput>> {
    return this.#record(input, () =>
      this.#call(logServicePaths.append, appendRequestCodec, appendResponseCodec, requestOf(input)).then(outputOf),
    );
  }

  async fence(token: number): Promise<Result<LogOutput>> {
    return this.#record({ kind: "fence", token }, async () => {
      const { fence, tail } = await this.#call(logServicePaths.fence, fenceRequestCodec, fenceResponseCodec, {
        logId: 1,
        token,
      });
      return { kind: "fenced", fence, tail };
    });
  }

  async checkTail(): Promise<Result<LogOutput>> {
    return this.#record({ kind: "tail" }, async () => {
      const request = { logId: 1, freshness: "linearizable" } as const;
      const { checkTail: path } = logServicePaths;
      return {
        kind: "tail",
        tail: (await this.#call(path, checkTailRequestCodec, checkTailResponseCodec, request)).tail,
      };
    });
  }

  /** All of them at once over one AppendStream, each independent of the others. */
  async appendInStream(inputs: readonly AppendInput[]): Promise<Result<LogOutput>[]> {
    await this.#ready();
    const stream = openAppendStream(this.#client);
    const end = endOf(stream);
    const results: Result<LogOutput>[] = [];
    const answered = (output: LogOutput) => {
      results.push({ kind: "ok", output, returnedAt: performance.now() });
    };
    stream.on("data", (bytes: Buffer) => {
      const { acknowledged, refused } = unwrap(appendStreamResponseCodec.decode(bytes));
      for (const answer of acknowledged) answered(outputOf(answer));
      if (refused === undefined) return;
      if (typeof refused.facts.guard === "string") answered(outputOf(refused));
      else results.push({ kind: refused.outcome });
    });
    const timer = setTimeout(() => stream.cancel(), answerMs);
    const begun = inputs.map((input) => {
      const request: AppendRequest = requestOf(input);
      stream.write(appendStreamRequestCodec.encode({ ...request, independent: true }));
      return performance.now();
    });
    stream.end();
    const failure = await end;
    clearTimeout(timer);
    const error = failure?.error;
    // Answers may have been dropped with the error: only behind those that were answered is a refusal believed.
    const refusedFrom = error?.outcome === "none" ? Number(error.facts.acknowledged) : inputs.length;
    for (let index = results.length; index < inputs.length; index += 1) {
      results.push({ kind: index >= refusedFrom ? "none" : "unknown" });
    }
    for (const [index, input] of inputs.entries()) this.#note(input, begun[index]!, results[index]!);
    if (failure !== undefined) await this.#follow(error);
    return results;
  }

  async #record(input: LogInput, ask: () => Promise<LogOutput>): Promise<Result<LogOutput>> {
    await this.#ready();
    const invokedAt = performance.now();
    const result = await ask().then(
      (output): Result<LogOutput> => ({ kind: "ok", output, returnedAt: performance.now() }),
      (failure: CallFailure): Result<LogOutput> => this.#resultOf(failure),
    );
    this.#note(input, invokedAt, result);
    return result;
  }

  /** The verdict of a guard is an answer. Anything else sends the client on. */
  #resultOf({ error }: CallFailure): Result<LogOutput> {
    if (typeof error?.facts.guard === "string") {
      return { kind: "ok", output: outputOf(error), returnedAt: performance.now() };
    }
    void this.#follow(error);
    return { kind: error?.outcome === "none" ? "none" : "unknown" };
  }

  #note(input: LogInput, invokedAt: number, result: Result<LogOutput>): void {
    const { history } = this.#recorder;
    history.push({ client: this.name, input, invokedAt, result });
    if (result.kind !== "ok") return;
    const { output } = result;
    const tail = output.kind === "appended" ? output.first + 1 : output.kind === "refused" ? 0 : output.tail;
    this.#recorder.tail = Math.max(this.#recorder.tail, tail);
  }

  #call<Q, A>(path: string, request: Codec<Q>, response: Codec<A>, value: Q): Promise<A> {
    return call(this.#client, path, request, response, value, answerMs);
  }

  /** A node that is there: what is asked of one that is not would count as unknown. */
  async #ready(): Promise<void> {
    while (!(await isReady(this.#client))) this.#turnTo(this.#next());
  }

  async #follow(error: PaxlogError | undefined): Promise<void> {
    const leader = error instanceof PaxlogError ? error.facts.leader : undefined;
    const port = typeof leader === "string" ? Number(leader.split(":").at(-1)) : undefined;
    if (port !== undefined && this.#ports.includes(port)) return this.#turnTo(port);
    this.#turnTo(this.#next());
    await pause(20);
  }

  #next(): number {
    return this.#ports[(this.#ports.indexOf(this.#port) + 1) % this.#ports.length]!;
  }

  #turnTo(port: number): void {
    this.#port = port;
    this.#client.close();
    this.#client = connectTo(port);
  }
}

/**
 * The history with what the log itself says of the appends whose answers were lost: where they are, if they are in it. Without that
 * the checker would have to try each of them at every later moment. `positions`: of the first record of each value, when nothing is
 * under way any more. A lost request of a session that left no record may have left its refusal, so its fate stays unknown.
 */
export function withFates(history: readonly LogOperation[], positions: ReadonlyMap<string, number>): LogOperation[] {
  const returnedAt = performance.now();
  return history.map((operation): LogOperation => {
    const { input, result } = operation;
    if (result.kind !== "unknown") return operation;
    if (input.kind === "tail") return { ...operation, result: { kind: "none" } };
    if (input.kind === "fence") return operation;
    const { value = "", guards } = input as AppendInput;
    const first = positions.get(value);
    if (first !== undefined)
      return { ...operation, result: { kind: "ok", output: { kind: "appended", first }, returnedAt } };
    return guards.session === undefined ? { ...operation, result: { kind: "none" } } : operation;
  });
}

/** How long a call may take before its answer counts as lost. */
const answerMs = 3_000;

const isReady = (client: Client): Promise<boolean> =>
  new Promise((resolve) => client.waitForReady(Date.now() + 500, (error) => resolve(error === undefined)));
