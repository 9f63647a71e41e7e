// User names that are given once, whoever asks, and however often: a register that is written once is a consensus on its value.
import type { Log } from "paxlog";

/** Resolves to the customer who has the name: this one, if nobody had it before. */
export async function claimName(log: Log, name: string, customer: string): Promise<string> {
  const { now } = await log.register(`name/${name}`).writeOnce(customer);
  return now?.text() ?? customer;
}
