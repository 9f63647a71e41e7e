// Goal: the models say what the machines do, and notice when they do not. Method: random commands to the machines that the nodes have,
// one after the other, are a history that each model takes; with one answer changed it takes it no more.
import { expect, test } from "vitest";
import { leaseCommandOf, leaseOutputOf, registerCommandOf, registerOutputOf } from "../../soak/object-calls.ts";
import {
  type AccountInput,
  type AccountOutput,
  accountModel,
  accountNames,
  firstBalance,
} from "../../src/linearizability/account-model.ts";
import { checkLinearizable } from "../../src/linearizability/checker.ts";
import {
  type DecisionInput,
  type DecisionOutput,
  makeDecisionModel,
} from "../../src/linearizability/decision-model.ts";
import type { Model, Operation } from "../../src/linearizability/history.ts";
import {
  type CounterInput,
  counterModel,
  type LeaseInput,
  type LeaseOutput,
  leaseModel,
  makeRegisterModel,
  type RegisterInput,
  type RegisterOutput,
} from "../../src/linearizability/object-models.ts";
import { counters } from "../../src/machine/builtin/counters.ts";
import { decisions } from "../../src/machine/builtin/decisions.ts";
import { leases } from "../../src/machine/builtin/leases.ts";
import { registers } from "../../src/machine/builtin/registers.ts";
import { Random } from "../../src/simulator/random.ts";

const at = (position: number, session = 0) => ({ position, time: position, session, random: () => 0 });

/** One after the other; of some nobody saw the answer. */
function historyOf<Input, Output>(
  random: Random,
  draw: (index: number) => Input,
  answer: (input: Input, position: number) => Output,
): Operation<Input, Output>[] {
  return Array.from({ length: random.between(5, 30) }, (_, index) => {
    const input = draw(index);
    const output = answer(input, 3 * index + 1);
    const result = random.chance(0.1)
      ? { kind: "unknown" as const }
      : { kind: "ok" as const, output, returnedAt: index + 0.5 };
    return { client: "one", input, invokedAt: index, result };
  });
}

/** The history passes; with one of its answers changed it must not. */
function judge<State, Input, Output>(
  modelOf: (history: Operation<Input, Output>[]) => Model<State, Input, Output>,
  history: Operation<Input, Output>[],
  change: (output: Output) => Output | undefined,
): boolean {
  expect(checkLinearizable(modelOf(history), history).kind).toBe("linearizable");
  for (const [index, operation] of history.entries()) {
    const { result } = operation;
    const changed = result.kind === "ok" ? change(result.output) : undefined;
    if (result.kind !== "ok" || changed === undefined) continue;
    const wrong = history.with(index, { ...operation, result: { ...result, output: changed } });
    return checkLinearizable(modelOf(wrong), wrong).kind === "notLinearizable";
  }
  return true;
}

const rounds = 300;

test("counters are as their model", () => {
  const random = new Random(1);
  for (let round = 0; round < rounds; round += 1) {
    const state = counters.create();
    const draw = (): CounterInput => {
      const name = random.pick(["a", "b"]);
      return random.chance(0.3) ? { kind: "get", name } : { kind: "add", name, delta: random.between(1, 1000) };
    };
    const history = historyOf(random, draw, (input, position) => {
      if (input.kind === "get") return counters.ask!(state, input);
      const reply = counters.apply(state, input, at(position));
      return reply.kind === "done" ? reply.before : Number.NaN;
    });
    expect(
      judge(
        () => counterModel,
        history,
        (value) => value + 0.5,
      ),
    ).toBe(true);
  }
});

test("registers are as their model", () => {
  const random = new Random(2);
  for (let round = 0; round < rounds; round += 1) {
    const state = registers.create();
    const versions = [0];
    const draw = (index: number): RegisterInput => {
      const [name, value] = [random.pick(["a", "b"]), `v${index}`];
      const expected = random.chance(0.5)
        ? { version: random.pick(versions) }
        : { value: `v${random.below(index + 1)}` };
      return random.pick<RegisterInput>([
        { kind: "get", name },
        { kind: "set", name, value },
        { kind: "writeOnce", name, value },
        { kind: "compareAndSet", name, expected, next: random.chance(0.2) ? undefined : value },
        { kind: "delete", name },
      ]);
    };
    const history = historyOf(random, draw, (input, position): RegisterOutput => {
      const command = registerCommandOf(input);
      const output = registerOutputOf(
        command === undefined ? registers.ask!(state, input) : registers.apply(state, command, at(position)),
      );
      versions.push(output.version ?? 0);
      return output;
    });
    const change = (output: RegisterOutput): RegisterOutput | undefined => ({ ...output, done: !output.done });
    expect(judge(makeRegisterModel, history, change)).toBe(true);
  }
});

test("leases are as their model, and so are the ends of the sessions that held them", () => {
  const random = new Random(3);
  for (let round = 0; round < rounds; round += 1) {
    const state = leases.create();
    let token = 0;
    const draw = (): LeaseInput => {
      const session = random.between(1, 3);
      const drawn = random.unit();
      if (drawn < 0.6) return { kind: "acquire", name: "a", session };
      return drawn < 0.9 ? { kind: "release", name: "a", session, token } : { kind: "end", name: "a", session };
    };
    const history = historyOf(random, draw, (input, position): LeaseOutput => {
      const context = at(position, input.session);
      const command = leaseCommandOf(input);
      if (command === undefined) {
        leases.ended!(state, context);
        return { outcome: "ended", session: 0, token: 0 };
      }
      const output = leaseOutputOf(leases.apply(state, command, context));
      token = output.token;
      return output;
    });
    // The first grant: nobody may be told of a token that was given before.
    const change = (output: LeaseOutput) => (output.outcome === "taken" ? { ...output, session: 9 } : undefined);
    expect(judge(() => leaseModel, history, change)).toBe(true);
  }
});

test("decisions are as their model, however their time-outs fall", () => {
  const random = new Random(4);
  const participants = ["one", "two", "three"];
  const name = "d";
  for (let round = 0; round < rounds; round += 1) {
    const state = decisions.create();
    const draw = (): DecisionInput => {
      const drawn = random.unit();
      if (drawn < 0.2) return { kind: "begin", name };
      if (drawn < 0.4) return { kind: "get", name };
      if (drawn < 0.5) return { kind: "settle", name };
      return { kind: "vote", name, participant: random.pick(participants), yes: random.chance(0.9) };
    };
    const history = historyOf(random, draw, (input, position): DecisionOutput => {
      const apply = (command: Parameters<typeof decisions.apply>[1]) =>
        decisions.apply(state, command, at(position)) as DecisionOutput;
      if (input.kind === "vote") return apply(input);
      if (input.kind === "settle") return apply({ kind: "timeout", name });
      if (input.kind === "begin") return apply({ kind: "begin", name, participants, timeoutMs: 0 });
      return decisions.ask!(state, input) as DecisionOutput;
    });
    // What was decided is not decided otherwise.
    const change = (output: DecisionOutput): DecisionOutput | undefined =>
      output.outcome === "committed" ? { ...output, outcome: "aborted" } : undefined;
    expect(judge(() => makeDecisionModel(participants), history, change)).toBe(true);
  }
});

test("accounts are as a plain ledger of them, and money that is made is noticed", () => {
  const random = new Random(5);
  for (let round = 0; round < rounds; round += 1) {
    const balances = new Map<string, number>(accountNames.map((account) => [account, firstBalance]));
    const draw = (): AccountInput => {
      const [from, to] = random.shuffle([...accountNames]);
      if (random.chance(0.3)) return { kind: "audit", group: "g" };
      return { kind: "transfer", group: "g", from: from!, to: to!, amount: random.between(1, 80) };
    };
    const history = historyOf(random, draw, (input): AccountOutput => {
      if (input.kind === "audit") return { kind: "balances", balances: [...balances.values()] };
      const left = balances.get(input.from)! - input.amount;
      if (left < 0) return { kind: "refused" };
      balances.set(input.from, left).set(input.to, balances.get(input.to)! + input.amount);
      return { kind: "moved", left };
    });
    const change = (output: AccountOutput): AccountOutput | undefined =>
      output.kind === "balances" ? { ...output, balances: output.balances.with(0, -1) } : undefined;
    expect(judge(() => accountModel, history, change)).toBe(true);
  }
});
