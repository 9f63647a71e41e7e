/** Goal: exactly once means the same on every way of use. Method: the built package, real nodes, and one retry of each kind. */
import { expect, test } from "vitest";
import { describeEveryWay, failureOf, newTag, recordsFrom, tailOf, textOf } from "./suite.ts";

describeEveryWay((subject) => {
  test("appends of a session are appends, with serials behind them", async () => {
    const { log, other } = subject;
    const from = await tailOf(log);
    const session = await log.session({ ttlMs: 30_000 });
    expect(session.ttlMs).toBe(30_000);
    expect(session.state).toEqual({ id: session.id, nextSerial: 1 });
    const calls = Array.from({ length: 1000 }, (_, index) => session.append({ value: `${index}` }));
    expect((await Promise.all(calls)).map(({ position }) => position)).toEqual(calls.map((_, index) => from + index));
    expect(session.state.nextSerial).toBe(2);
    expect(await log.append([{ value: "many" }], { session })).toMatchObject({ first: from + 1000 });
    expect((await recordsFrom(other, from + 999)).map(textOf)).toEqual(["999", "many"]);
    await session.close();
  });

  test("a request that comes again gets the first answer, from any handle, and is written once", async () => {
    const { log, other } = subject;
    const from = await tailOf(log);
    const session = await log.session();
    const records = [{ value: "a" }, { value: "b" }];
    const first = await session.append(records, { serial: 1 });
    const second = await session.append(records, { serial: 2, expectedTail: from + 2 });
    await log.append({ value: "others" });
    const resumed = await other.session({ resume: session.state });
    // In flight at once, and against a tail that has moved on: what was ordered is not judged again.
    const again = await Promise.all([
      resumed.append(records, { serial: 1 }),
      resumed.append(records, { serial: 2, expectedTail: from + 2 }),
      session.append(records, { serial: 2, expectedTail: from + 2 }),
    ]);
    expect(again).toEqual([first, second, second]);
    expect(await tailOf(log)).toBe(from + 5);
    expect(await resumed.append({ value: "c" })).toMatchObject({ position: from + 5 });
    await session.close();
  });

  test("a refused request that comes again is refused as it was, although it would hold by now", async () => {
    const { log } = subject;
    const session = await log.session();
    const tail = await tailOf(log);
    const guards = { serial: 1, expectedTail: tail + 1 };
    const first = await failureOf(session.append({ value: "x" }, guards));
    expect(first).toMatchObject({
      code: "TAIL_MISMATCH",
      outcome: "none",
      facts: { expected: tail + 1, actual: tail },
    });
    await log.append({ value: "others" });
    expect(await failureOf(session.append({ value: "x" }, guards))).toMatchObject({
      code: "TAIL_MISMATCH",
      outcome: "none",
      facts: first.facts,
    });
    expect(await session.append({ value: "y" }, { expectedTail: tail + 1 })).toMatchObject({ position: tail + 1 });
    await session.close();
  });

  test("a serial that was passed over is refused, one with other records is too, and neither is written", async () => {
    const { log } = subject;
    const session = await log.session();
    await session.append({ value: "five" }, { serial: 5 });
    const tail = await tailOf(log);
    expect(await failureOf(session.append({ value: "four" }, { serial: 4 }))).toMatchObject({
      code: "SESSION_GAP",
      outcome: "none",
    });
    expect(await failureOf(session.append([{ value: "" }, { value: "" }], { serial: 5 }))).toMatchObject({
      code: "INVALID_ARGUMENT",
      outcome: "none",
    });
    expect(await tailOf(log)).toBe(tail);
    await session.close();
  });

  test("the answers to the last 256 requests are remembered, what is older is unknown", {
    timeout: 60_000,
  }, async () => {
    const { log } = subject;
    const session = await log.session();
    const append = (serial: number) => session.append({ value: `${serial}` }, { serial });
    const answers = await Promise.all(Array.from({ length: 300 }, (_, index) => append(index + 1)));
    const tail = await tailOf(log);
    expect(await append(45)).toEqual(answers[44]);
    expect(await append(300)).toEqual(answers[299]);
    expect(await failureOf(append(44))).toMatchObject({ code: "SESSION_UNKNOWN", outcome: "unknown" });
    expect(await tailOf(log)).toBe(tail);
    // A request that is too old says nothing of the session.
    expect(await session.append({ value: "new" })).toMatchObject({ position: tail });
    await session.close();
  });

  test("sessions do not know each other, and one that was closed is known to nobody", async () => {
    const { log, other } = subject;
    const [one, two] = await Promise.all([log.session(), other.session()]);
    expect(one.id).not.toBe(two.id);
    const tag = newTag();
    const answers = await Promise.all([one, two].map((session) => session.append({ value: "", tags: [tag] })));
    expect(new Set(answers.map(({ position }) => position)).size).toBe(2);
    await one.close();
    await one.close();
    expect(await failureOf(one.append({ value: "late" }))).toMatchObject({ code: "CLOSED", outcome: "none" });
    expect(await failureOf(log.session({ resume: one.state }))).toMatchObject({ code: "SESSION_UNKNOWN" });
    await two.append({ value: "goes on" });
    await two.close();
  });

  test("one whose end is announced ends by a record of the log, another one without", async () => {
    const { log, other } = subject;
    const from = await tailOf(log);
    const silent = await log.session();
    const session = await other.session({ announceEnd: true });
    await session.append({ value: "last" });
    await Promise.all([session.close(), silent.close()]);
    const records = (await recordsFrom(log, from)).map(({ type, session: id }) => [type, id]);
    expect(records).toEqual([undefined, "$session"].map((type) => [type, session.id]));
    expect(await failureOf(log.session({ resume: session.state }))).toMatchObject({ code: "SESSION_UNKNOWN" });
  });

  test.runIf(subject.way.hasMore)(
    "a session that nobody keeps expires by the time of the log, idle as the log is",
    {
      timeout: 60_000,
    },
    async () => {
      const { log } = subject;
      const gone = await subject.another();
      const session = await gone.session({ ttlMs: 1_000, announceEnd: true });
      const { position } = await session.append({ value: "x" }, { serial: 1 });
      const { state } = session;
      // As if its process had died: nothing keeps it any more.
      await gone.close();
      const types = async () => (await recordsFrom(log, position + 1)).map(({ type }) => type);
      await expect.poll(types, { timeout: 30_000, interval: 100 }).toEqual(["$session"]);
      const tail = await tailOf(log);
      expect(await failureOf(log.session({ resume: state }))).toMatchObject({ code: "SESSION_UNKNOWN" });
      expect(await tailOf(log)).toBe(tail);
    },
  );
});
