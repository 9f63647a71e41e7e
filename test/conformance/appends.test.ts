/** Goal: a log does the same on every way of use: what is appended, read, refused and closed. Method: the built package, real nodes. */
import { describe, expect, test } from "vitest";
import { paxlog } from "../../src/format/generated/wire.js";
import { encodeBatch, type RecordInput } from "../../src/index.ts";
import { describeEveryWay, failureOf, newTag, recordsFrom, tailOf, textOf } from "./suite.ts";

describeEveryWay((subject) => {
  describe("appends", () => {
    test("one record and many get dense positions and times that never go back, and come back as they were", async () => {
      const { log, other } = subject;
      const from = await tailOf(log);
      const tag = newTag();
      const records: RecordInput[] = [
        { value: "text, ä" },
        { value: Uint8Array.of(0, 255), type: "T", tags: [tag, "x"], metadata: "m" },
        { value: "" },
      ];
      const one = await log.append(records[0]!);
      const two = await log.append(records.slice(1));
      expect(one.position).toBe(from);
      expect(two).toMatchObject({ first: from + 1, last: from + 2 });
      expect(two.time).toBeGreaterThanOrEqual(one.time);
      const read = await recordsFrom(other, from);
      expect(read.map(({ position }) => position)).toEqual([from, from + 1, from + 2]);
      expect(read.map(({ time }) => time)).toEqual([one.time, two.time, two.time]);
      expect(textOf(read[0]!)).toBe("text, ä");
      expect(read[1]).toMatchObject({ type: "T", tags: [tag, "x"] });
      expect(Buffer.from(read[1]!.value)).toEqual(Buffer.from([0, 255]));
      expect(Buffer.from(read[1]!.metadata!).toString()).toBe("m");
      expect(read[2]).toMatchObject({ type: undefined, tags: [], metadata: undefined });
      expect(read[2]!.value.length).toBe(0);
    });

    test("a thousand calls of one turn are one batch, and each knows its own place", async () => {
      const { log } = subject;
      const from = await tailOf(log);
      const calls = Array.from({ length: 1000 }, (_, index) => log.append({ value: `${index}` }));
      expect((await Promise.all(calls)).map(({ position }) => position)).toEqual(calls.map((_, index) => from + index));
      const counts: number[] = [];
      for await (const batch of log.read({ from }).batches()) counts.push(batch.count);
      expect(counts).toEqual([1000]);
    });

    test("two writers at once: what each appended is in its order, and nothing is lost or twice", async () => {
      const { log, other } = subject;
      const from = await tailOf(log);
      const write = async (name: string, to: typeof log) => {
        const calls: Promise<unknown>[] = [];
        for (let index = 0; index < 500; index += 1) {
          calls.push(to.append({ value: `${name} ${index}` }));
          if (index % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        }
        await Promise.all(calls);
      };
      await Promise.all([write("one", log), write("other", other)]);
      const values = (await recordsFrom(log, from)).map(textOf);
      for (const name of ["one", "other"]) {
        const own = values.filter((value) => value.startsWith(name));
        expect(own).toEqual(Array.from({ length: 500 }, (_, index) => `${name} ${index}`));
      }
      expect(values.length).toBe(1000);
    });

    test("a megabyte is a record, and four of them in flight are no trouble", async () => {
      const { log } = subject;
      const from = await tailOf(log);
      const values = [1, 2, 3, 4].map((byte) => new Uint8Array(1024 * 1024 - 1).fill(byte));
      await Promise.all(values.map((value) => log.append({ value })));
      const read = await recordsFrom(subject.other, from);
      expect(read.map(({ value }) => [value.length, value[0], value.at(-1)])).toEqual(
        values.map((value) => [value.length, value[0], value[0]]),
      );
    });

    test("a batch that another protobuf library made is taken as it is and comes back byte for byte", async () => {
      const { log, other } = subject;
      const message = {
        valueLengths: [1, 2],
        types: ["", "T"],
        typeIndexes: [2, 0],
        tags: ["unused", "a"],
        tagCounts: [0, 1],
        tagIndexes: [1],
        values: Buffer.from("abc"),
      };
      const made = paxlog.v1.RecordBatch.encode(message).finish();
      // Fields in another order are the same message, and other bytes.
      const own = encodeBatch([{ value: "a" }, { value: "bc" }]);
      for (const bytes of [made, own]) {
        const { first, last } = await log.appendBatch(bytes);
        expect(last).toBe(first + 1);
        const [a, b] = await recordsFrom(other, first);
        expect([textOf(a!), textOf(b!)]).toEqual(["a", "bc"]);
      }
    });
  });

  describe("reads", () => {
    test("stop at the limit or the tail, follow what comes, and say when they caught up", async () => {
      const { log, other } = subject;
      const from = await tailOf(log);
      await log.append([{ value: "a" }, { value: "b" }, { value: "c" }]);
      const some: string[] = [];
      for await (const record of other.read({ from: from + 1, limit: 1 })) some.push(textOf(record));
      expect(some).toEqual(["b"]);
      let caughtUp: number | undefined;
      const followed: string[] = [];
      const onCaughtUp = (tail: number) => {
        caughtUp = tail;
        void log.append({ value: "d" });
      };
      for await (const record of other.read({ from, follow: true, onCaughtUp })) {
        followed.push(textOf(record));
        if (followed.length === 4) break;
      }
      expect(followed).toEqual(["a", "b", "c", "d"]);
      expect(caughtUp).toBe(from + 3);
      expect(await log.tail()).toMatchObject({ head: 1, tail: from + 4 });
    });

    test("linearizable ones see what another handle was acknowledged, each time", async () => {
      const { log, other } = subject;
      for (let round = 0; round < 20; round += 1) {
        const { position } = await log.append({ value: `${round}` });
        expect(await tailOf(other)).toBe(position + 1);
        expect((await recordsFrom(other, position)).map(textOf)).toEqual([`${round}`]);
      }
    });

    test("that are aborted end without an error", async () => {
      const { log } = subject;
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 20);
      const from = await tailOf(log);
      for await (const _ of log.read({ from, follow: true, signal: controller.signal })) throw new Error("a record");
    });
  });

  describe("errors", () => {
    test("of the request have stable codes, outcome none, and leave nothing", async () => {
      const { log } = subject;
      const before = await tailOf(log);
      const three = Array.from({ length: 3 }, () => ({ value: new Uint8Array(1024 * 1024) }));
      const wrong: readonly [() => Promise<unknown>, string][] = [
        [() => log.append([]), "INVALID_ARGUMENT"],
        [() => log.append({ value: 5 as never }), "INVALID_ARGUMENT"],
        [() => log.append({ value: "", tags: ["x".repeat(257)] }), "INVALID_ARGUMENT"],
        [() => log.append({ value: new Uint8Array(1024 * 1024 + 1) }), "RECORD_TOO_LARGE"],
        [() => log.append(three), "BATCH_TOO_LARGE"],
        [() => log.appendBatch(Uint8Array.of(1, 2, 3)), "BATCH_MALFORMED"],
        ...["$session", "$machine-hash", "$activation", "$Bank", "$"].flatMap(
          (type): [() => Promise<unknown>, string][] => [
            [() => log.append({ value: "", type }), "TYPE_RESERVED"],
            [
              () =>
                log.append([
                  { value: "", type: "fine" },
                  { value: "", type },
                ]),
              "TYPE_RESERVED",
            ],
            [() => log.appendBatch(encodeBatch([{ value: "", type }])), "TYPE_RESERVED"],
          ],
        ),
        [() => log.append({ value: "" }, { expectedTail: 0 }), "INVALID_ARGUMENT"],
        [() => log.append({ value: "" }, { streams: "x" as never }), "INVALID_ARGUMENT"],
        [() => log.append({ value: "" }, { condition: manyConditions }), "GUARD_TOO_LARGE"],
        [() => log.fence(1.5), "INVALID_ARGUMENT"],
        [() => recordsFrom(log, before + 1), "POSITION_PAST_TAIL"],
      ];
      for (const [call, code] of wrong) {
        expect(await failureOf(Promise.resolve().then(call))).toMatchObject({
          code,
          outcome: "none",
          retryable: false,
        });
      }
      expect(await tailOf(log)).toBe(before);
    });

    test("of one call are not those of the calls beside it", async () => {
      const { log } = subject;
      const tail = await tailOf(log);
      const results = await Promise.allSettled([
        log.append({ value: "a" }),
        log.append({ value: 5 as never }),
        log.append({ value: "no" }, { condition: manyConditions }),
        log.append({ value: "b" }),
      ]);
      expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
      expect((await recordsFrom(log, tail)).map(textOf)).toEqual(["a", "b"]);
    });

    test("of an append that was aborted before it was sent say so", async () => {
      const { log } = subject;
      const tail = await tailOf(log);
      expect(await failureOf(log.append({ value: "x" }, { signal: AbortSignal.abort() }))).toMatchObject({
        code: "CANCELLED",
        outcome: "none",
      });
      expect(await tailOf(log)).toBe(tail);
    });
  });

  test("status is that of a node that leads or follows the leader", async () => {
    const status = await subject.log.status();
    expect(["leader", "follower"]).toContain(status.role);
    expect(status.tail).toBeGreaterThan(1);
  });

  test.runIf(subject.way.hasMore)(
    "closing waits for what was called, ends the rest with CLOSED, and may be done again",
    async () => {
      const log = await subject.another();
      const session = await log.session();
      const before = [log.append({ value: "x" }), session.append({ value: "y" })];
      const following = failureOf(
        (async () => {
          for await (const _ of log.read({ follow: true }));
        })(),
      );
      await Promise.all([log.close(), log.close(), log[Symbol.asyncDispose]()]);
      expect((await Promise.allSettled(before)).map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
      expect(await following).toMatchObject({ code: "CLOSED" });
      for (const late of [
        log.append({ value: "z" }),
        session.append({ value: "z" }),
        log.tail(),
        log.session(),
        log.fence(1),
      ]) {
        expect(await failureOf(late)).toMatchObject({ code: "CLOSED", outcome: "none" });
      }
    },
  );
});

const manyConditions = Array.from({ length: 17 }, () => ({ query: { tags: ["x"] }, after: 0 }));
