// A bank with two branches on one log: npm start -- HOST:PORT,... for a cluster that runs, or without an address for a log of its own.
import { connect, open } from "paxlog";
import { bank } from "./bank.ts";

const addresses = process.argv[2];
const log = addresses === undefined ? await open({ dir: "./data" }) : await connect(addresses);
// Each branch has the whole bank in memory. In life they are programs on machines of their own.
const [north, south] = [log.machine(bank), log.machine(bank)];

const round = (await log.tail()).tail;
const [ada, bob] = [`ada-${round}`, `bob-${round}`];
await north.execute({ op: "open", account: ada, cents: 1000 });
await north.execute({ op: "open", account: bob, cents: 0 });
const before = await north.ask("total");

// Both branches pay out of one account at once, more than is in it. The log orders the transfers; each is judged where it stands.
const pay = (branch: typeof north) =>
  Promise.all(Array.from({ length: 20 }, () => branch.execute({ op: "transfer", from: ada, to: bob, cents: 30 })));
const replies = (await Promise.all([pay(north), pay(south)])).flat();
const done = replies.filter((reply) => reply.kind === "done").length;
console.log(`${done} transfers done, ${replies.length - done} refused: not enough money`);

// An answer is linearizable: it knows of everything that was done before the question, at any branch.
console.log(`ada has ${await south.ask({ account: ada })} cents, bob has ${await north.ask({ account: bob })}`);
console.log(`money was ${(await south.ask("total")) === before ? "neither made nor lost" : "made or lost"}`);

// A branch that starts anew begins with a snapshot, and reads only what came behind it.
const snapshot = north.snapshot();
const west = log.machine(bank, { snapshot });
console.log(`a new branch agrees: ${(await west.ask({ account: bob })) === (await north.ask({ account: bob }))}`);

await Promise.all([north.close(), south.close(), west.close()]);
await log.close();
