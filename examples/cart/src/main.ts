// A server of a shop: npm start -- HOST:PORT,... for a cluster that runs, or without an address for a log of its own.
import { connect, open } from "paxlog";
import { carts, total } from "./cart.ts";
import { readSnapshot, writeSnapshot } from "./snapshots.ts";

const addresses = process.argv[2];
const log = addresses === undefined ? await open({ dir: "./data" }) : await connect(addresses);
const snapshot = await readSnapshot("./snapshots/carts");
const shop = log.machine(carts, { snapshot });
console.log(snapshot === undefined ? "begins with an empty shop" : "begins with a snapshot");

const cart = `cart-${(await log.tail()).tail}`;
await Promise.all([
  shop.execute({ op: "add", cart, item: "apples", count: 3, cents: 50 }),
  shop.execute({ op: "add", cart, item: "pears", count: 2, cents: 80 }),
]);
const removed = await shop.execute({ op: "remove", cart, item: "plums" });
console.log(removed.kind === "refused" ? `refused: ${removed.why}` : "removed");

// Two windows check out at once: the log has an order for them.
const replies = await Promise.all([1, 2].map(() => shop.execute({ op: "checkOut", cart })));
console.log(replies.map((reply) => (reply.kind === "done" ? `costs ${reply.cents} cents` : reply.why)).join("; "));

// What a restart has to read is what came behind the last snapshot.
await writeSnapshot("./snapshots/carts", shop.snapshot());
await using again = log.machine(carts, { snapshot: await readSnapshot("./snapshots/carts") });
const found = await again.ask({ cart });
console.log(`found again, checked out: ${found?.checkedOut !== undefined && total(found) === 310}`);

await shop.close();
await log.close();
