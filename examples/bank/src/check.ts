// Is the bank deterministic? Run it before a new version goes anywhere: npm run check.
import { checkMachine } from "paxlog/testing";
import { bank, type Command, type Question } from "./bank.ts";

const accounts = ["a", "b", "c", "d"];

checkMachine(bank, {
  command: (random): Command => {
    const account = () => accounts[Math.floor(random() * accounts.length)]!;
    const cents = Math.floor(random() * 1000);
    return random() < 0.2
      ? { op: "open", account: account(), cents }
      : { op: "transfer", from: account(), to: account(), cents };
  },
  question: (): Question => "total",
});
console.log("the bank is the same on every replica, as far as 10,000 commands show");
