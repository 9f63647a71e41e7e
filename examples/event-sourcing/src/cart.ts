import type { CartEvent } from "./events.ts";

/** A cart as its events make it. */
export interface Cart {
  readonly items: ReadonlyMap<string, { readonly count: number; readonly cents: number }>;
  readonly checkedOut: boolean;
}

export type CartCommand =
  | { readonly kind: "add"; readonly item: string; readonly count: number; readonly cents: number }
  | { readonly kind: "remove"; readonly item: string; readonly count: number }
  | { readonly kind: "checkOut" };

/** A rule of the shop says no. To try again without a change is of no use. */
export class RuleError extends Error {
  override readonly name = "RuleError";
}

export const emptyCart: Cart = { items: new Map(), checkedOut: false };

/** The next state. Pure, and never refuses: what is in the log has happened. */
export function evolve(cart: Cart, event: CartEvent): Cart {
  switch (event.type) {
    case "ItemAdded": {
      const count = (cart.items.get(event.item)?.count ?? 0) + event.count;
      return { ...cart, items: new Map(cart.items).set(event.item, { count, cents: event.cents }) };
    }
    case "ItemRemoved": {
      const items = new Map(cart.items);
      const { count, cents } = items.get(event.item)!;
      if (count === event.count) items.delete(event.item);
      else items.set(event.item, { count: count - event.count, cents });
      return { ...cart, items };
    }
    case "CheckedOut":
      return { ...cart, checkedOut: true };
  }
}

/** What happens to this cart at this command. Pure. Throws RuleError where the rules forbid it. */
export function decide(cart: Cart, id: string, command: CartCommand): CartEvent {
  if (cart.checkedOut) throw new RuleError(`cart ${id} is checked out`);
  switch (command.kind) {
    case "add":
      return { type: "ItemAdded", cart: id, item: command.item, count: command.count, cents: command.cents };
    case "remove": {
      const held = cart.items.get(command.item)?.count ?? 0;
      if (held < command.count) throw new RuleError(`cart ${id} holds ${held} ${command.item}, not ${command.count}`);
      return { type: "ItemRemoved", cart: id, item: command.item, count: command.count };
    }
    case "checkOut": {
      if (cart.items.size === 0) throw new RuleError(`cart ${id} is empty`);
      return { type: "CheckedOut", cart: id, cents: totalCents(cart) };
    }
  }
}

export function totalCents(cart: Cart): number {
  return [...cart.items.values()].reduce((sum, { count, cents }) => sum + count * cents, 0);
}
