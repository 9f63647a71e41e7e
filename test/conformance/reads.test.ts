/** Goal: a read finds the same records on every way of use, wherever it begins and ends, in both directions and by any query. */
import { describe, expect, test } from "vitest";
import type { Log, LogRecord, ReadNotice, ReadOptions } from "../../src/index.ts";
import { describeEveryWay, failureOf, newTag, tailOf, textOf } from "./suite.ts";

async function read(log: Log, options: ReadOptions): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const record of log.read(options)) records.push(record);
  return records;
}

const texts = async (log: Log, options: ReadOptions): Promise<string> =>
  (await read(log, options)).map(textOf).join("");
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Three batches of letters at neighbouring positions, the second later than the first; a is at `from`. */
async function letters(log: Log, tag: string): Promise<{ from: number; times: number[] }> {
  const from = await tailOf(log);
  const times: number[] = [];
  for (const batch of ["abc", "def", "gh"]) {
    const records = [...batch].map((value) => ({ value, tags: [tag], type: "letter" }));
    times.push((await log.append(records)).time);
    await pause(3);
  }
  return { from, times };
}

describeEveryWay((subject) => {
  describe("places", () => {
    test("a read begins and ends where it was asked to, forward and backward", async () => {
      const { log, other } = subject;
      const { from, times } = await letters(log, newTag());
      const cases: readonly [ReadOptions, string][] = [
        [{ from }, "abcdefgh"],
        [{ from: from + 1, to: from + 5 }, "bcde"],
        [{ from, to: from + 100, limit: 4 }, "abcd"],
        [{ from: { tail: -3 } }, "fgh"],
        [{ from: "tail" }, ""],
        [{ from: { time: times[1]! } }, "defgh"],
        [{ from: { time: new Date(times[1]! - 1) }, to: { time: times[2]! } }, "def"],
        [{ from: { time: times[2]! + 60_000 } }, ""],
        [{ direction: "backward", to: from - 1 }, "hgfedcba"],
        [{ direction: "backward", limit: 3 }, "hgf"],
        [{ direction: "backward", from: "tail", to: from + 5 }, "hg"],
        [{ direction: "backward", from: from + 4, to: from }, "edcb"],
        [{ direction: "backward", from: { tail: -4 }, limit: 2 }, "ed"],
        [{ direction: "backward", from: { time: times[1]! }, to: from }, "fedcb"],
        [{ direction: "backward", to: { time: times[0]! } }, "hgfed"],
        [{ from, maxBytes: 1 }, "abc"],
        [{ direction: "backward", maxBytes: 1 }, "hg"],
      ];
      for (const [options, expected] of cases)
        expect([options, await texts(other, options)]).toEqual([options, expected]);
      expect((await read(other, { from: "head", limit: 1 }))[0]!.position).toBe(1);
      expect((await read(other, { limit: 1 }))[0]!.position).toBe(1);
      expect((await read(other, { direction: "backward", from: 1 })).map(({ position }) => position)).toEqual([1]);
    });

    test("batches come whole, the last one first where the read goes backward, and know the positions of their records", async () => {
      const { log, other } = subject;
      const { from } = await letters(log, newTag());
      const batches: string[] = [];
      for await (const batch of other.read({ direction: "backward", to: from }).batches()) {
        expect(batch.last - batch.first + 1).toBe(batch.count);
        expect(batch.position(batch.count - 1)).toBe(batch.last);
        batches.push([...batch.records()].map(textOf).join(""));
      }
      expect(batches).toEqual(["gh", "def", "bc"]);
    });

    test("what cannot be is refused: past the tail, backward and following, options of the wrong kind", async () => {
      const { log } = subject;
      const tail = await tailOf(log);
      const wrong: readonly [ReadOptions, string][] = [
        [{ from: tail + 1 }, "POSITION_PAST_TAIL"],
        [{ from: tail + 1, direction: "backward" }, "POSITION_PAST_TAIL"],
        [{ follow: true, direction: "backward" }, "INVALID_ARGUMENT"],
        [{ direction: "up" as never }, "INVALID_ARGUMENT"],
        [{ from: { tail: 3 } }, "INVALID_ARGUMENT"],
        [{ from: "end" as never }, "INVALID_ARGUMENT"],
        [{ from: { time: "now" as never } }, "INVALID_ARGUMENT"],
        [{ maxBytes: 0 }, "INVALID_ARGUMENT"],
        [{ query: [] }, "INVALID_ARGUMENT"],
        [{ query: { tags: "x" as never } }, "INVALID_ARGUMENT"],
        [{ query: { tags: Array.from({ length: 65 }, (_, index) => `${index}`) } }, "GUARD_TOO_LARGE"],
        [{ freshness: { atLeast: -1 } }, "INVALID_ARGUMENT"],
      ];
      for (const [options, code] of wrong) {
        expect(await failureOf(Promise.resolve().then(() => read(log, options)))).toMatchObject({ code });
      }
    });
  });

  describe("queries", () => {
    test("find the records that bear one of their types and all of their tags, and nothing else", async () => {
      const { log, other } = subject;
      const [red, large, none] = [newTag(), newTag(), newTag()];
      const from = await tailOf(log);
      await log.append([
        { value: "a", tags: [red], type: "T" },
        { value: "b", tags: [large, red] },
        { value: "c" },
        { value: "d", tags: [large], type: "U", metadata: "m" },
      ]);
      await log.append({ value: "e", type: red });
      await log.append([
        { value: "f", tags: [red], type: "U" },
        { value: "g", tags: [large] },
      ]);
      const cases: readonly [ReadOptions["query"], string][] = [
        [{ tags: [red] }, "abf"],
        [{ tags: [large, red] }, "b"],
        [{ tags: [red], types: ["T", "U"] }, "af"],
        [[{ tags: [red], types: ["U"] }, { tags: [large] }], "bdfg"],
        [{ types: [red] }, "e"],
        [{ tags: [none] }, ""],
        [{}, "abcdefg"],
      ];
      for (const [query, expected] of cases) {
        expect([query, await texts(other, { from, query })]).toEqual([query, expected]);
        const backward = await texts(other, { direction: "backward", to: from - 1, query });
        expect([query, backward]).toEqual([query, [...expected].reverse().join("")]);
      }
      expect(await texts(other, { query: { tags: [red] }, limit: 2 })).toBe("ab");
      expect(await texts(other, { query: { tags: [red] }, from: from + 1, to: from + 6 })).toBe("bf");
      expect(await texts(other, { query: { tags: [red] }, direction: "backward", limit: 2 })).toBe("fb");
      const [record] = await read(other, { query: { types: ["U"], tags: [large] } });
      expect(record).toMatchObject({ position: from + 3, type: "U", tags: [large] });
      expect(Buffer.from(record!.metadata!).toString()).toBe("m");
    });

    test("go on where they were left, without searching again what they have searched", async () => {
      const { log, other } = subject;
      const tag = newTag();
      await log.append([{ value: "a", tags: [tag] }, { value: "x" }]);
      for (let index = 0; index < 20; index += 1) await log.append({ value: "y" });
      const notices: ReadNotice[] = [];
      const query = { tags: [tag] };
      expect(await texts(other, { query, onNotice: (notice) => notices.push(notice) })).toBe("a");
      const { next } = notices.at(-1)!;
      expect(next).toBe(await tailOf(log));
      await log.append({ value: "b", tags: [tag] });
      expect(await texts(other, { query, from: next })).toBe("b");
    });
  });

  describe("following", () => {
    test("brings what matches as it comes, says where it is meanwhile, and ends where it was to end", async () => {
      const { log, other } = subject;
      const tag = newTag();
      const { position } = await log.append({ value: "a", tags: [tag] });
      const notices: ReadNotice[] = [];
      const seen: string[] = [];
      const onNotice = (notice: ReadNotice): void => {
        notices.push(notice);
        if (notice.kind !== "caughtUp") return;
        void log
          .append([{ value: "x" }, { value: "b", tags: [tag] }])
          .then(() => log.append({ value: "c", tags: [tag] }));
      };
      const query = { tags: [tag] };
      for await (const record of other.read({ from: position, query, follow: true, to: position + 4, onNotice })) {
        seen.push(`${textOf(record)}${record.position - position}`);
      }
      expect(seen).toEqual(["a0", "b2", "c3"]);
      expect(notices[0]).toMatchObject({ kind: "begun", freshness: "linearizable", next: position, head: 1 });
      expect(notices[1]).toMatchObject({ kind: "caughtUp", next: position + 1, tail: position + 1 });
    });

    test("an idle one hears the tail, which for a query says how far the log was searched", async () => {
      const { log, other } = subject;
      const tag = newTag();
      const stop = new AbortController();
      const from = await tailOf(log);
      let after: number | undefined;
      const onNotice = (notice: ReadNotice): void => {
        if (notice.kind === "caughtUp") void log.append({ value: "of no concern" });
        if (notice.kind !== "heartbeat" || notice.next === from) return;
        after = notice.next;
        stop.abort();
      };
      for await (const _ of other.read({ query: { tags: [tag] }, from, follow: true, signal: stop.signal, onNotice })) {
        throw new Error("a record that does not match");
      }
      expect(after).toBe(from + 1);
    });

    test("a hundred readers of their own tags and of everything get what is theirs, once and in order", async () => {
      const { log, other } = subject;
      const from = await tailOf(log);
      const tags = Array.from({ length: 50 }, () => newTag());
      const own = tags.map((tag) => texts(other, { from, query: { tags: [tag] }, follow: true, limit: 4 }));
      const all = tags.map(() => texts(other, { from, follow: true, limit: 200 }));
      for (const round of ["1", "2", "3", "4"]) {
        await Promise.all(tags.map((tag) => log.append({ value: round, tags: [tag] })));
      }
      expect(await Promise.all(own)).toEqual(tags.map(() => "1234"));
      for (const text of await Promise.all(all))
        expect([...text].sort().join("")).toBe("1".repeat(50) + "2".repeat(50) + "3".repeat(50) + "4".repeat(50));
    });
  });

  describe("freshness", () => {
    test("at least a position waits for it, and every answer says what it was", async () => {
      const { log, other } = subject;
      const { position } = await log.append({ value: "a" });
      expect(await other.tail({ freshness: { atLeast: position } })).toMatchObject({ freshness: "atLeast" });
      expect((await other.tail({ freshness: { atLeast: position } })).tail).toBeGreaterThan(position);
      expect(await other.tail()).toMatchObject({ tail: position + 1, freshness: "linearizable" });
      expect(await other.tail({ freshness: "local" })).toMatchObject({ freshness: "local" });
      const waiting = texts(other, { from: position, to: position + 2, freshness: { atLeast: position + 1 } });
      await log.append({ value: "b" });
      expect(await waiting).toBe("ab");
      const notices: ReadNotice[] = [];
      const onNotice = (notice: ReadNotice) => notices.push(notice);
      await read(other, { from: position, freshness: "local", onNotice });
      expect(notices[0]).toMatchObject({ kind: "begun", freshness: "local" });
    });
  });

  describe("a log that was trimmed", () => {
    test("begins at its head: what is below is an error with the head in it, and a read backward ends there", async () => {
      const { log, other } = subject;
      const tag = newTag();
      const { from } = await letters(log, tag);
      const { head } = await log.trim(from + 3);
      expect(head).toBe(from + 3);
      const query = { tags: [tag] };
      for (const options of [
        { from: from + 2 },
        { from: 1, query },
        { from: 1, follow: true },
        { from: 1, direction: "backward" as const },
      ]) {
        expect(await failureOf(texts(other, options))).toMatchObject({ code: "POSITION_BELOW_HEAD", facts: { head } });
      }
      expect(await texts(other, {})).toBe("defgh");
      expect(await texts(other, { from: "head", limit: 2 })).toBe("de");
      expect(await texts(other, { from: { tail: -1_000_000 } })).toBe("defgh");
      expect(await texts(other, { from: { time: 0 }, query })).toBe("defgh");
      expect(await texts(other, { direction: "backward" })).toBe("hgfed");
      expect(await texts(other, { direction: "backward", query })).toBe("hgfed");
      expect(await other.tail()).toMatchObject({ head, tail: from + 8 });
    });
  });
});
