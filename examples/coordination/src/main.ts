// Four things that programs on one log do together: npm start -- HOST:PORT,... for a cluster that runs, or without an address for a log
// of its own.
import { connect, type Log, open, PaxlogError } from "paxlog";
import { FileStore, TooLate } from "./files.ts";
import { Ids } from "./ids.ts";
import { claimName } from "./names.ts";
import { Worker } from "./worker.ts";

const addresses = process.argv[2];
const log: Log = addresses === undefined ? await open({ dir: "./data" }) : await connect(addresses);
const round = (await log.tail()).tail;

// Two servers hand out ids at the same time.
const servers = [new Ids(log.counter("orders")), new Ids(log.counter("orders"))];
const ids = await Promise.all(Array.from({ length: 4000 }, (_, index) => servers[index % 2]!.next()));
console.log(`${ids.length} ids, ${new Set(ids).size} of them different`);

// Two customers want one name.
const customers = ["customer-1", "customer-2"];
const owners = await Promise.all(customers.map((customer) => claimName(log, `ada-${round}`, customer)));
console.log(`both customers were told the same owner: ${owners[0] === owners[1]}`);

// Two workers, one of which works. The first one resigns, and what it still sends comes too late.
const [first, second] = [new Worker(log, "first"), new Worker(log, "second")];
const leadership = await first.lead();
await first.work(leadership, "some work");
const succession = second.lead();
await leadership.resign();
const next = await succession;
await second.work(next, "the next work");
const late = await first.work(leadership, "late work").catch((error: unknown) => error);
console.log(`the second worker leads: ${next.held}, the first one: ${leadership.held}`);
console.log(`late work: ${late instanceof PaxlogError ? late.code : "done"}`);
await next.resign();

// A lock that guards a store of files. Its first holder thinks that it has it still; the store knows better.
const files = new FileStore("./files");
const held = await log.lease("report");
await files.write("report", "by the first", held.token);
await held.release();
const newer = await log.lease("report");
await files.write("report", "by the second", newer.token);
const refused = await files.write("report", "by the first, late", held.token).catch((error: unknown) => error);
console.log(
  `the late holder: ${refused instanceof TooLate ? "refused" : "wrote"}; the report is ${await files.read("report")}`,
);
await newer.release();

await log.close();
