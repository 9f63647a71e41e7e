// A shop with two servers on one log: npm start -- HOST:PORT,... for a cluster that runs, or without an address for a log of its own.
import { connect, open } from "paxlog";
import { RuleError, totalCents } from "./cart.ts";
import { Shop } from "./shop.ts";

const addresses = process.argv[2];
const log = addresses === undefined ? await open({ dir: "./data" }) : await connect(addresses);
const servers = [await Shop.open(log), await Shop.open(log)] as const;
const [left, right] = servers;
const cart = `cart-${(await log.tail()).tail}`;

// Two customers want the same name at the same time, each at another server. One gets it.
const claims = await Promise.allSettled([
  left.nameCustomer("customer-1", "ada"),
  right.nameCustomer("customer-2", "ada"),
]);
for (const claim of claims)
  console.log(claim.status === "fulfilled" ? "named ada" : `refused: ${ruleOf(claim.reason)}`);

// One cart, changed in two windows at once, ten times each. Every change is decided by the cart as it is, so none is lost.
await Promise.all(
  servers.map(async (server) => {
    for (let count = 0; count < 10; count++) {
      await server.changeCart(cart, { kind: "add", item: "apple", count: 1, cents: 50 });
    }
  }),
);
await left.changeCart(cart, { kind: "remove", item: "apple", count: 5 });
console.log(`${cart} holds ${left.view.cart(cart).cart.items.get("apple")?.count} apples`);

// Both windows check out. One order is made.
const orders = await Promise.allSettled(servers.map((server) => server.changeCart(cart, { kind: "checkOut" })));
for (const order of orders)
  console.log(order.status === "fulfilled" ? "checked out" : `refused: ${ruleOf(order.reason)}`);
console.log(`${cart} costs ${totalCents(left.view.cart(cart).cart)} cents`);

console.log(`decided again ${left.conflicts + right.conflicts} times because the other server was faster`);
await Promise.all(servers.map((server) => server.close()));
await log.close();

function ruleOf(reason: unknown): string {
  if (reason instanceof RuleError) return reason.message;
  throw reason;
}
