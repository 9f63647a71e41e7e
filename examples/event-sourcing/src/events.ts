import type { LogRecord, RecordInput } from "paxlog";

/** What can happen in the shop. Facts, in the past tense: once in the log they stay. */
export type ShopEvent =
  | { readonly type: "CustomerNamed"; readonly customer: string; readonly name: string }
  | {
      readonly type: "ItemAdded";
      readonly cart: string;
      readonly item: string;
      readonly count: number;
      readonly cents: number;
    }
  | { readonly type: "ItemRemoved"; readonly cart: string; readonly item: string; readonly count: number }
  | { readonly type: "CheckedOut"; readonly cart: string; readonly cents: number };

export type CartEvent = Exclude<ShopEvent, { readonly type: "CustomerNamed" }>;

/** The tag that all events of a cart bear: it makes them one stream. */
export const cartTag = (cart: string) => `cart:${cart}`;

/** The tag that all events about a name bear: the rule that a name is given once asks for it. */
export const nameTag = (name: string) => `name:${name}`;

export function recordOf(event: ShopEvent): RecordInput {
  const { type, ...body } = event;
  return { type, tags: [tagOf(event)], value: JSON.stringify(body) };
}

export function eventOf(record: LogRecord): ShopEvent {
  return { type: record.type, ...JSON.parse(new TextDecoder().decode(record.value)) };
}

function tagOf(event: ShopEvent): string {
  return event.type === "CustomerNamed" ? nameTag(event.name) : cartTag(event.cart);
}
