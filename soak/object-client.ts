import { PaxlogError } from "#src/base/errors";
import type { Log } from "#src/client/log";
import type { Register, RegisterOutcome, RegisterValue } from "#src/client/objects/handles";
import type { AccountInput, AccountOutput } from "#src/linearizability/account-model";
import type { DecisionInput, DecisionOutput } from "#src/linearizability/decision-model";
import type { Operation, Result } from "#src/linearizability/history";
import type { ListOperation, ListTransaction } from "#src/linearizability/list-append";
import type {
  CounterInput,
  CounterOutput,
  LeaseInput,
  LeaseOutput,
  RegisterInput,
  RegisterOutput,
  RegisterSeen,
} from "#src/linearizability/object-models";
import { BrokenPromise } from "./recorder.ts";
import { askKey, callAccounts, transactAccounts } from "./space-calls.ts";

/** Of a transfer: says in the end whether it took place. */
interface Transfer {
  readonly client: string;
  readonly input: AccountInput;
  readonly invokedAt: number;
  readonly receipt: string;
  result: Result<AccountOutput>;
}

/** Those that vote on every decision. */
export const participants = ["ada", "bob", "eve"] as const;
const settleMs = 8_000;

/** What all clients asked of each kind of object, and what they were told, by one clock. */
export class ObjectHistory {
  readonly counters: Operation<CounterInput, CounterOutput>[] = [];
  readonly registers: Operation<RegisterInput, RegisterOutput>[] = [];
  readonly leases: Operation<LeaseInput, LeaseOutput>[] = [];
  readonly keys: Operation<RegisterInput, RegisterOutput>[] = [];
  readonly decisions: Operation<DecisionInput, DecisionOutput>[] = [];
  readonly accounts: Transfer[] = [];
  readonly lists: ListTransaction[] = [];
  #sessions = 0;

  /** A name for a session that the history alone knows. */
  nextSession(): number {
    this.#sessions += 1;
    return this.#sessions;
  }

  /** Nobody asks any more: transfers of which no answer came took place where there is a receipt, and not at all otherwise. */
  settle(receipts: ReadonlyMap<string, number>, readAt: number): void {
    for (const transfer of this.accounts) {
      const left = receipts.get(transfer.receipt);
      const { result } = transfer;
      const isMoved = result.kind === "ok" && result.output.kind === "moved";
      if (result.kind === "unknown") {
        transfer.result =
          left === undefined ? { kind: "none" } : { kind: "ok", output: { kind: "moved", left }, returnedAt: readAt };
      } else if (isMoved !== (left !== undefined)) {
        throw new BrokenPromise(
          `transfer ${transfer.receipt} ended ${JSON.stringify(result)}; its receipt says ${left}`,
        );
      }
    }
  }
}

const leaseTtlMs = 2_000;

/** One client of the shared objects of a log. Each call is one operation of the history, however it ends. */
export class ObjectClient {
  readonly #name: string;
  readonly #log: Log;
  readonly #history: ObjectHistory;

  constructor(name: string, log: Log, history: ObjectHistory) {
    this.#name = name;
    this.#log = log;
    this.#history = history;
  }

  async counter(input: CounterInput): Promise<void> {
    const counter = this.#log.counter(input.name);
    const call = () => (input.kind === "get" ? counter.get() : counter.fetchAdd(input.delta));
    await this.#record(this.#history.counters, input, call, input.kind === "get");
  }

  /** What it was told of the register after it. */
  async register(input: RegisterInput): Promise<RegisterSeen | undefined> {
    const register = this.#log.register(input.name);
    const call = () => registerOutput(register, input);
    const result = await this.#record(this.#history.registers, input, call, input.kind === "get");
    return result.kind === "ok" && !result.output.done ? result.output.before : undefined;
  }

  /** What it was told of the key after it. */
  async key(input: RegisterInput): Promise<RegisterSeen | undefined> {
    const result = await this.#record(this.#history.keys, input, () => askKey(this.#log, input), input.kind === "get");
    return result.kind === "ok" && !result.output.done ? result.output.before : undefined;
  }

  /** Transfers, by a stored procedure or by a transaction of its own. */
  async accounts(input: AccountInput, how: "procedure" | "transaction"): Promise<void> {
    const receipt = `${this.#history.accounts.length}`;
    const transfer: Transfer = {
      client: this.#name,
      input,
      invokedAt: performance.now(),
      receipt,
      result: { kind: "unknown" },
    };
    this.#history.accounts.push(transfer);
    const ask = how === "procedure" ? callAccounts : transactAccounts;
    transfer.result = lostRace(await resultOf(() => ask(this.#log, input, receipt), input.kind === "audit"));
  }

  async decide(input: DecisionInput, timeoutMs: number): Promise<void> {
    const decision = this.#log.decision(input.name);
    const signal = AbortSignal.timeout(settleMs);
    const call = async (): Promise<DecisionOutput> => {
      switch (input.kind) {
        case "get":
          return decision.get();
        case "begin":
          return decision.begin({ participants, timeoutMs });
        case "vote":
          return decision.vote(input.participant, input.yes);
        default:
          return decision.outcome({ signal });
      }
    };
    const unknown = ({ code }: PaxlogError): DecisionOutput | undefined =>
      code === "INVALID_ARGUMENT" ? { outcome: "unknown", voted: [] } : undefined;
    const invokedAt = performance.now();
    const settles = input.kind === "settle";
    const result = await resultOf(call, input.kind === "get", settles ? unknown : undefined);
    // Who gave up waiting may have had it aborted.
    const isDoubtful = settles && result.kind === "none";
    this.#history.decisions.push({
      client: this.#name,
      input,
      invokedAt,
      result: isDoubtful ? { kind: "unknown" } : result,
    });
  }

  /** Optimistic: the operations are carried out where no key has changed since it was read. */
  async transact(operations: readonly ListOperation[]): Promise<void> {
    const invokedAt = performance.now();
    const result = await resultOf(() => this.#transacted(operations), false);
    this.#history.lists.push({ client: this.#name, operations, invokedAt, result: lostRace(result) });
  }

  /** undefined: a key had changed. */
  async #transacted(operations: readonly ListOperation[]): Promise<(readonly number[])[] | undefined> {
    const space = this.#log.space();
    const lists = new Map<string, number[]>();
    const keys = [...new Set(operations.map(({ key }) => key))];
    const compare = await Promise.all(
      keys.map(async (key) => {
        const entry = await space.get(key, { freshness: "local" });
        lists.set(key, entry?.json<number[]>() ?? []);
        return { keys: key, version: entry?.version ?? 0 };
      }),
    );
    const success = operations.map((operation) => {
      const { key } = operation;
      if (operation.kind === "read") return { kind: "get", keys: key } as const;
      const list = [...lists.get(key)!, operation.value];
      lists.set(key, list);
      return { kind: "put", key, value: JSON.stringify(list) } as const;
    });
    const { succeeded, results } = await space.transaction({ compare, success });
    if (!succeeded) return undefined;
    return results.flatMap((each) => (each.kind === "get" ? [each.entries[0]?.json<number[]>() ?? []] : []));
  }

  /** Takes the lease, if it is free, uses it while it lasts, and gives it back. */
  async lease(name: string, use: (token: number) => Promise<void>): Promise<void> {
    const session = this.#history.nextSession();
    const { leases } = this.#history;
    const invokedAt = performance.now();
    const acquired = await resultOf(() => this.#log.lease(name, { wait: false, ttlMs: leaseTtlMs }), false, leaseTaken);
    const base = { client: this.#name, invokedAt } as const;
    // Nobody knows when a session ends that was not closed, or whether it does.
    const mayEnd = { ...base, input: { kind: "end", name, session }, result: { kind: "unknown" } } as const;
    const input = { kind: "acquire", name, session } as const;
    if (acquired.kind !== "ok") {
      leases.push({ ...base, input, result: acquired });
      if (acquired.kind === "unknown") leases.push(mayEnd);
      return;
    }
    const lease = acquired.output;
    const { returnedAt } = acquired;
    if ("taken" in lease) {
      const output = { outcome: "taken", session: undefined, token: lease.taken } as const;
      leases.push({ ...base, input, result: { kind: "ok", output, returnedAt } });
      return;
    }
    const { token } = lease;
    leases.push({ ...base, input, result: { kind: "ok", output: { outcome: "held", session, token }, returnedAt } });
    await use(token);
    const releasedAt = performance.now();
    const released = await resultOf(async () => {
      const wasHeld = lease.held;
      await lease.release();
      return wasHeld;
    }, false);
    const isReleased = released.kind === "ok" && released.output && released.returnedAt - returnedAt < leaseTtlMs;
    const output = { outcome: "released", session: 0, token: 0 } as const;
    leases.push({
      client: this.#name,
      invokedAt: releasedAt,
      input: { kind: "release", name, session, token },
      result: isReleased ? { kind: "ok", output, returnedAt: released.returnedAt } : { kind: "unknown" },
    });
    if (!isReleased) leases.push(mayEnd);
  }

  async #record<Input, Output>(
    history: Operation<Input, Output>[],
    input: Input,
    call: () => Promise<Output>,
    onlyLooks: boolean,
  ): Promise<Result<Output>> {
    const invokedAt = performance.now();
    const result = await resultOf(call, onlyLooks);
    history.push({ client: this.#name, input, invokedAt, result });
    return result;
  }
}

function leaseTaken({ code, facts }: PaxlogError): { readonly taken: number } | undefined {
  return code === "LEASE_TAKEN" ? { taken: facts.token as number } : undefined;
}

/** A transaction that found another one before it did nothing. */
function lostRace<Output>(result: Result<Output | undefined>): Result<Output> {
  if (result.kind !== "ok") return result;
  const { output, returnedAt } = result;
  return output === undefined ? { kind: "none" } : { kind: "ok", output, returnedAt };
}

/** Anything but what a log may say under faults is thrown on. */
async function resultOf<Output, Refused = never>(
  call: () => Promise<Output>,
  onlyLooks: boolean,
  refused: (error: PaxlogError) => Refused | undefined = () => undefined,
): Promise<Result<Output | Refused>> {
  try {
    const output = await call();
    return { kind: "ok", output, returnedAt: performance.now() };
  } catch (error) {
    if (!(error instanceof PaxlogError)) throw error;
    const output = refused(error);
    if (output !== undefined) return { kind: "ok", output, returnedAt: performance.now() };
    if (onlyLooks) return { kind: "none" };
    if (error.outcome === "unknown" || error.code === "REPLY_GONE") return { kind: "unknown" };
    if (error.retryable || error.code === "CLOSED" || error.code === "CANCELLED") return { kind: "none" };
    throw error;
  }
}

async function registerOutput(register: Register, input: RegisterInput): Promise<RegisterOutput> {
  switch (input.kind) {
    case "get":
      return { before: seenOf(await register.get()), done: false, version: undefined };
    case "set":
      return { before: undefined, done: true, version: (await register.set(input.value)).version };
    case "delete": {
      const done = await register.delete();
      return { before: done ? undefined : nothing, done, version: 0 };
    }
    case "writeOnce":
      return outputOf(await register.writeOnce(input.value));
    default: {
      const { expected, next = null } = input;
      return outputOf(await register.compareAndSet("value" in expected ? expected.value : expected, next));
    }
  }
}

const outputOf = ({ before, done, now }: RegisterOutcome): RegisterOutput => ({
  before: seenOf(before),
  done,
  version: now?.version ?? 0,
});

const nothing: RegisterSeen = { version: 0, value: undefined };
const seenOf = (value: RegisterValue | undefined): RegisterSeen =>
  value === undefined ? nothing : { version: value.version, value: value.text() };
