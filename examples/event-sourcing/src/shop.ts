import { type Log, PaxlogError, type Session } from "paxlog";
import { type CartCommand, decide, RuleError } from "./cart.ts";
import { cartTag, nameTag, recordOf } from "./events.ts";
import { ShopView } from "./view.ts";

/**
 * One server of the shop. Any number of them may run: each decides by its own view, and the log lets through only what was decided
 * by a view that knew everything that bears on the decision.
 *
 * Appends go through a session, so that one whose answer was lost is sent again and lands once: an item is not added twice because
 * a leader died.
 */
export class Shop {
  readonly view: ShopView;
  /** How often a decision had to be made again because somebody was faster. */
  conflicts = 0;
  readonly #session: Session;

  private constructor(log: Log, session: Session) {
    this.view = new ShopView(log);
    this.#session = session;
  }

  static async open(log: Log): Promise<Shop> {
    return new Shop(log, await log.session());
  }

  /**
   * A change of one cart, decided by the cart's own events and nothing else: the stream must stand where the view saw it.
   * Throws RuleError. Returns once the change is durable, and the view has it.
   */
  changeCart(id: string, command: CartCommand): Promise<void> {
    return this.#untilDecided(async () => {
      const { cart, revision } = this.view.cart(id);
      const event = decide(cart, id, command);
      const expected = revision === 0 ? "noStream" : revision;
      return await this.#session.append(recordOf(event), { stream: { tag: cartTag(id), expected } });
    });
  }

  /**
   * Gives a customer a name that nobody has. The rule spans all customers, so no single stream can guard it; a condition does: no
   * event about this name behind what the view has read. Appends about other names do not disturb it. Throws RuleError.
   */
  nameCustomer(customer: string, name: string): Promise<void> {
    return this.#untilDecided(async () => {
      const holder = this.view.customerNamed(name);
      if (holder !== undefined) throw new RuleError(`the name ${name} is taken by ${holder}`);
      const query = { types: ["CustomerNamed"], tags: [nameTag(name)] };
      const event = { type: "CustomerNamed", customer, name } as const;
      return await this.#session.append(recordOf(event), { condition: { query, after: this.view.position } });
    });
  }

  async close(): Promise<void> {
    await this.#session.close();
    await this.view.close();
  }

  /** Decides and appends; where somebody was faster, reads what they did and decides again. */
  async #untilDecided(attempt: () => Promise<{ readonly position: number }>): Promise<void> {
    for (;;) {
      try {
        const { position } = await attempt();
        return await this.view.reached(position);
      } catch (cause) {
        const position = conflictingPosition(cause);
        if (position === undefined) throw cause;
        this.conflicts += 1;
        await this.view.reached(position);
      }
    }
  }
}

/** How far the view must read to know what was in the way; undefined where the error is no conflict. */
function conflictingPosition(cause: unknown): number | undefined {
  if (!(cause instanceof PaxlogError)) return undefined;
  if (cause.code === "STREAM_REVISION_MISMATCH") return Number(cause.facts.actual);
  if (cause.code === "CONDITION_FAILED") return Number(cause.facts.position);
  return undefined;
}
