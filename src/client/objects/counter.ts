import { assertNever } from "../../base/assert.ts";
import { PaxlogError } from "../../base/errors.ts";
import type { CounterCommand, CounterReply } from "../../machine/builtin/counters.ts";
import { counters } from "./builtins.ts";
import type { Counter, CounterChange, ExecuteOptions, GetOptions, NumberRange, WatchOptions } from "./handles.ts";
import type { MachineCalls } from "./machine-calls.ts";
import { decoded, MachineStub } from "./machine-stub.ts";
import { objectsFull } from "./refusals.ts";

/** One counter of the machine "counters". */
export class NodeCounter implements Counter {
  readonly name: string;
  readonly #counters: MachineStub<CounterCommand, CounterReply, { name: string }, number>;

  constructor(calls: MachineCalls, name: string) {
    this.name = name;
    this.#counters = new MachineStub(calls, counters);
  }

  async fetchAdd(delta = 1, options?: ExecuteOptions): Promise<number> {
    const { reply } = await this.#counters.execute({ kind: "add", name: this.name, delta }, options);
    return this.#done(reply).before;
  }

  async take(count = 1, options?: ExecuteOptions): Promise<NumberRange> {
    const { reply } = await this.#counters.execute({ kind: "take", name: this.name, count }, options);
    const { before, after } = this.#done(reply);
    return { first: before + 1, last: after };
  }

  async get(options?: GetOptions): Promise<number> {
    const { answer } = await this.#counters.ask({ name: this.name }, options);
    return answer;
  }

  async *watch(options?: WatchOptions): AsyncGenerator<CounterChange, void, void> {
    for await (const { position, time, change } of this.#counters.changes({ name: this.name }, options)) {
      yield { position, time, value: decoded(counters.answers, change, counters.name) };
    }
  }

  #done(reply: CounterReply): CounterReply & { kind: "done" } {
    if (reply.kind === "done") return reply;
    switch (reply.reason) {
      case "OUT_OF_RANGE": {
        const message = `the counter "${this.name}" would leave -2^53 + 1 to 2^53 - 1: it stays as it is`;
        throw new PaxlogError("COUNTER_OUT_OF_RANGE", message, { facts: { name: this.name } });
      }
      case "TOO_MANY_NAMES":
        throw objectsFull("counters", this.name);
      default:
        return assertNever(reply.reason);
    }
  }
}
