// Shopping carts as a machine: what customers do are commands in the log, and every program that follows it has all carts in memory.
import { defineMachine } from "paxlog";

export type Command =
  | { readonly op: "add"; readonly cart: string; readonly item: string; readonly count: number; readonly cents: number }
  | { readonly op: "remove"; readonly cart: string; readonly item: string }
  | { readonly op: "checkOut"; readonly cart: string };

export type Reply =
  | { readonly kind: "done"; readonly cents: number }
  | {
      readonly kind: "refused";
      readonly why: "cart is checked out" | "no such item" | "cart is empty" | "count must be 1 to 99";
    };

interface Item {
  readonly count: number;
  readonly cents: number;
}

export interface Cart {
  readonly items: ReadonlyMap<string, Item>;
  /** Log time at which it was checked out. */
  readonly checkedOut: number | undefined;
}

/** A cart is replaced, never changed: whoever got it as an answer keeps what they got. */
export type Carts = Map<string, Cart>;

export const carts = defineMachine<Carts, Command, Reply, { readonly cart: string }, Cart | undefined>({
  name: "carts",
  version: 1,
  create: () => new Map(),
  apply: (state, command, { time }) => {
    const cart = state.get(command.cart) ?? { items: new Map<string, Item>(), checkedOut: undefined };
    if (cart.checkedOut !== undefined) return refused("cart is checked out");
    const next = decide(cart, command, time);
    if ("kind" in next) return next;
    state.set(command.cart, next);
    return { kind: "done", cents: total(next) };
  },
  ask: (state, { cart }) => state.get(cart),
  *save(state) {
    // One cart a line, so that a large shop is saved without being in memory twice.
    for (const [name, { items, checkedOut }] of state) {
      yield Buffer.from(`${JSON.stringify([name, [...items], checkedOut ?? null])}\n`);
    }
  },
  load: (pieces) => {
    const lines = Buffer.concat([...pieces])
      .toString()
      .split("\n")
      .slice(0, -1);
    return new Map(
      lines.map((line) => {
        const [name, items, checkedOut] = JSON.parse(line) as [string, [string, Item][], number | null];
        return [name, { items: new Map(items), checkedOut: checkedOut ?? undefined }];
      }),
    );
  },
});

function decide(cart: Cart, command: Command, time: number): Cart | Reply {
  const items = new Map(cart.items);
  switch (command.op) {
    case "add": {
      const count = (items.get(command.item)?.count ?? 0) + command.count;
      if (!Number.isInteger(count) || count < 1 || count > 99) return refused("count must be 1 to 99");
      items.set(command.item, { count, cents: command.cents });
      return { ...cart, items };
    }
    case "remove":
      return items.delete(command.item) ? { ...cart, items } : refused("no such item");
    case "checkOut":
      return items.size === 0 ? refused("cart is empty") : { ...cart, checkedOut: time };
  }
}

export const total = ({ items }: Cart): number =>
  [...items.values()].reduce((sum, { count, cents }) => sum + count * cents, 0);

const refused = (why: Extract<Reply, { kind: "refused" }>["why"]): Reply => ({ kind: "refused", why });
