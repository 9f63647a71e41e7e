// Are the carts deterministic, and is a saved state all of it? npm run check.
import { checkMachine } from "paxlog/testing";
import { type Command, carts } from "./cart.ts";

const [names, items] = [
  ["a", "b"],
  ["apples", "pears", "plums"],
];

checkMachine(carts, {
  command: (random): Command => {
    const one = (list: readonly string[]) => list[Math.floor(random() * list.length)]!;
    const [cart, item] = [one(names!), one(items!)];
    if (random() < 0.02) return { op: "checkOut", cart };
    return random() < 0.3 ? { op: "remove", cart, item } : { op: "add", cart, item, count: 2, cents: 30 };
  },
  question: (random) => ({ cart: random() < 0.5 ? "a" : "b" }),
});
console.log("the carts are the same on every replica, as far as 10,000 commands show");
