/**
 * Goal: with a session every record lands exactly once and in order, whatever happens to the leader. Method: three real nodes;
 * leaders killed and frozen under load; afterwards the log itself is read and counted.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { connect, type Log, type Session } from "../../src/index.ts";
import { collect, text } from "../client/fixture.ts";
import { pause, TestCluster } from "./harness.ts";

let cluster: TestCluster;
let log: Log;

beforeAll(async () => {
  cluster = await TestCluster.start();
  log = await connect(cluster.addresses, { deadlineMs: 60_000 });
}, 60_000);
afterAll(async () => {
  await log.close();
  await cluster.stop();
}, 60_000);

/** Appends until it is stopped; the positions by the number of the append. */
class Writer {
  readonly positions: number[] = [];
  readonly #session: Session;
  readonly #name: string;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(session: Session, name: string) {
    this.#session = session;
    this.#name = name;
    this.#done = this.#run();
    this.#done.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    const calls: Promise<void>[] = [];
    for (let index = 0; !this.#stopped; index += 1) {
      const appended = this.#session.append({ value: `${this.#name} ${index}`, tags: [this.#name] });
      calls.push(
        appended.then(({ position }) => {
          this.positions[index] = position;
        }),
      );
      if (index % 50 === 49) await pause(20);
    }
    await Promise.all(calls);
  }
}

async function expectOnceInOrder(writer: Writer, name: string): Promise<void> {
  const records = await collect(log.read(), (record) => ({ position: record.position, value: text(record.value) }));
  const own = records.filter(({ value }) => value.startsWith(`${name} `));
  expect(own.map(({ value }) => value)).toEqual(writer.positions.map((_, index) => `${name} ${index}`));
  expect(own.map(({ position }) => position)).toEqual(writer.positions);
}

test("leaders that are killed under load cost no record, and none is there twice", { timeout: 120_000 }, async () => {
  const writer = new Writer(await log.session(), "killed");
  for (let kill = 0; kill < 2; kill += 1) {
    await pause(500);
    const leader = await cluster.leader();
    await cluster.kill(leader);
    await pause(1_500);
    await cluster.restart(leader).line(0);
  }
  await pause(500);
  await writer.stop();
  expect(writer.positions.length).toBeGreaterThan(100);
  await expectOnceInOrder(writer, "killed");
});

test("a leader that is frozen holds its clients up for seconds, not for the half minute of a lost answer", {
  timeout: 120_000,
}, async () => {
  const writer = new Writer(await log.session(), "frozen");
  const plain = await connect(cluster.addresses, { deadlineMs: 60_000 });
  await plain.append({ value: "before" });
  await pause(200);
  const leader = await cluster.leader();
  process.kill(leader.pid, "SIGSTOP");
  try {
    const before = writer.positions.length;
    const started = performance.now();
    const lost = plain.append({ value: "lost or not" }).then(
      () => undefined,
      (error: unknown) => error,
    );
    while (writer.positions.length < before + 100) await pause(10);
    expect(performance.now() - started).toBeLessThan(15_000);
    // Without a session nobody knows, and nobody guesses; unless another node led already, and took it.
    const error = await lost;
    if (error === undefined) expect(await collect(log.read(), ({ value }) => text(value))).toContain("lost or not");
    else expect(error).toMatchObject({ outcome: "unknown" });
    expect(performance.now() - started).toBeLessThan(15_000);
  } finally {
    process.kill(leader.pid, "SIGCONT");
  }
  await pause(1_000);
  await writer.stop();
  await expectOnceInOrder(writer, "frozen");
  await plain.close();
});

test("a session outlives every node: all are killed and started again, and its retries get their first answers", {
  timeout: 120_000,
}, async () => {
  const session = await log.session();
  const serials = [1, 2, 3];
  const append = (target: Session) =>
    Promise.all(serials.map((serial) => target.append({ value: `${serial}`, tags: ["again"] }, { serial })));
  const first = await append(session);
  await cluster.kill(...cluster.nodes);
  await Promise.all(cluster.nodes.map((node) => cluster.restart(node).line(0)));
  const other = await connect(cluster.addresses, { deadlineMs: 60_000 });
  const resumed = await other.session({ resume: session.state });
  expect(await append(resumed)).toEqual(first);
  expect(await resumed.append({ value: "4" })).toMatchObject({ position: first[2]!.position + 1 });
  await other.close();
});
