/** What clients ask of keys and accounts in the space, in the words of the models. */
import { PaxlogError } from "#src/base/errors";
import type { Log } from "#src/client/log";
import type { SpaceEntry, SpaceOperation, SpaceOutcome } from "#src/client/objects/handles";
import { type AccountInput, type AccountOutput, accountNames, firstBalance } from "#src/linearizability/account-model";
import type { RegisterInput, RegisterOutput, RegisterSeen } from "#src/linearizability/object-models";

const nothing: RegisterSeen = { version: 0, value: undefined };
const seenOf = (entry: SpaceEntry | undefined): RegisterSeen =>
  entry === undefined ? nothing : { version: entry.version, value: entry.text() };

/** A key is a register: what is asked of one, of the other. */
export async function askKey(log: Log, input: RegisterInput): Promise<RegisterOutput> {
  const space = log.space();
  const key = `key/${input.name}`;
  switch (input.kind) {
    case "get":
      return { before: seenOf(await space.get(key)), done: false, version: undefined };
    case "set":
      return { before: undefined, done: true, version: await space.put(key, input.value) };
    case "delete": {
      const done = (await space.delete(key)) === 1;
      return { before: done ? undefined : nothing, done, version: 0 };
    }
    case "writeOnce": {
      const success = [{ kind: "put", key, value: input.value }] as const;
      return swapped(
        await space.transaction({ compare: [{ keys: key, exists: false }], success, failure: [look(key)] }),
      );
    }
    default: {
      const { expected, next } = input;
      const compare = [{ keys: key, ...expected }];
      const success: SpaceOperation[] =
        next === undefined ? [{ kind: "delete", keys: key }] : [{ kind: "put", key, value: next, withBefore: true }];
      return swapped(await space.transaction({ compare, success, failure: [look(key)] }));
    }
  }
}

const look = (key: string): SpaceOperation => ({ kind: "get", keys: key });

function swapped({ succeeded, position, results }: SpaceOutcome): RegisterOutput {
  const [result] = results;
  if (!succeeded) {
    const before = seenOf(result?.kind === "get" ? result.entries[0] : undefined);
    return { before, done: false, version: before.version };
  }
  // A delete of what is not there is done as well, and says nothing of what was before.
  return { before: undefined, done: true, version: result?.kind === "put" ? position : 0 };
}

const accountKey = (group: string, account: string): string => `account/${group}/${account}`;
const receiptPrefix = "receipt/";

/** By a procedure that the nodes have (soak/procedures.mjs). */
export async function callAccounts(log: Log, input: AccountInput, receipt: string): Promise<AccountOutput> {
  if (input.kind === "audit") {
    const { group } = input;
    return { kind: "balances", balances: await log.call<number[]>("audit", { group, accounts: accountNames }) };
  }
  try {
    return { kind: "moved", left: await log.call<number>("transfer", { ...input, receipt }) };
  } catch (error) {
    if (error instanceof PaxlogError && error.code === "PROCEDURE_FAILED") return { kind: "refused" };
    throw error;
  }
}

/** By a transaction of the client's own, which holds where neither account has changed. undefined: one had, and nothing was done. */
export async function transactAccounts(
  log: Log,
  input: AccountInput,
  receipt: string,
): Promise<AccountOutput | undefined> {
  const { group } = input;
  const space = log.space();
  if (input.kind === "audit") {
    const success = accountNames.map((account) => look(accountKey(group, account)));
    const { results } = await space.transaction({ success });
    const balances = results.map((each) => (each.kind === "get" ? each.entries[0] : undefined));
    return { kind: "balances", balances: balances.map(balanceOf) };
  }
  const keys = [accountKey(group, input.from), accountKey(group, input.to)] as const;
  const [from, to] = await Promise.all(keys.map((key) => space.get(key, { freshness: "local" })));
  const left = balanceOf(from) - input.amount;
  if (left < 0) return undefined;
  const { succeeded } = await space.transaction({
    compare: [
      { keys: keys[0], version: from?.version ?? 0 },
      { keys: keys[1], version: to?.version ?? 0 },
    ],
    success: [
      { kind: "put", key: keys[0], value: JSON.stringify(left) },
      { kind: "put", key: keys[1], value: JSON.stringify(balanceOf(to) + input.amount) },
      { kind: "put", key: `${receiptPrefix}${receipt}`, value: JSON.stringify(left) },
    ],
  });
  return succeeded ? { kind: "moved", left } : undefined;
}

const balanceOf = (entry: SpaceEntry | undefined): number => entry?.json<number>() ?? firstBalance;

/** What was left after each transfer that took place. */
export async function receiptsOf(log: Log): Promise<Map<string, number>> {
  const receipts = new Map<string, number>();
  let from = receiptPrefix;
  for (;;) {
    const { entries, more } = await log.space().range({ from, to: "receipt0" });
    for (const entry of entries) receipts.set(entry.key.slice(receiptPrefix.length), entry.json<number>());
    const last = entries.at(-1);
    if (!more || last === undefined) return receipts;
    from = `${last.key}\0`;
  }
}
