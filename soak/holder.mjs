// A holder of a lease in a process of its own: takes it, fences everybody before out, and writes under its token until that is refused.
//   node soak/holder.mjs ADDRESSES NAME TTL_MS     says {"token"} when it holds it, and {"refused","held"} in the end
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "paxlog";

const [addresses, name, ttlMs] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const log = await connect(addresses, { deadlineMs: 20_000, closeMs: 100 });
const lease = await log.lease(name, { ttlMs: Number(ttlMs) });
await log.fence(lease.token);
const session = await log.session();
say({ token: lease.token });
for (let isRefused = false; !isRefused; ) {
  try {
    await session.append({ value: `${lease.token}`, tags: [name] }, { fencingToken: lease.token });
    await pause(10);
  } catch (error) {
    isRefused = error.code === "FENCED";
    if (isRefused) say({ refused: error.code, held: lease.held });
    else if (error.retryable !== true) throw error;
  }
}
await log.close();
