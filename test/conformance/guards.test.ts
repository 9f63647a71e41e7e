/**
 * Goal: what an append demands of the log is judged alike on every way of use: it lands where all of it holds, and otherwise leaves
 * nothing and says why. Method: the built package, real nodes, guards one by one and mixed.
 */
import { expect, test } from "vitest";
import type { AppendOptions, Log } from "../../src/index.ts";
import { describeEveryWay, failureOf, newTag, tailOf } from "./suite.ts";

const refused = { outcome: "none", retryable: false } as const;

describeEveryWay((subject) => {
  /** The refusal, of an append that must leave the tail where it was. */
  async function refusalOf(log: Log, options: AppendOptions) {
    const before = await tailOf(log);
    const error = await failureOf(log.append({ value: "must not be there" }, options));
    expect(await tailOf(subject.other)).toBe(before);
    return error;
  }

  test("expectedTail: the next append at the tail lands, one that expects another is told the tail", async () => {
    const { log } = subject;
    const tail = await tailOf(log);
    expect(await log.append([{ value: "a" }, { value: "b" }], { expectedTail: tail })).toMatchObject({ first: tail });
    const facts = { guard: "expectedTail", actual: tail + 2, tail: tail + 2 };
    for (const expected of [tail, tail + 1, tail + 3]) {
      expect(await refusalOf(log, { expectedTail: expected })).toMatchObject({
        ...refused,
        code: "TAIL_MISMATCH",
        facts: { ...facts, expected },
      });
    }
  });

  test("fencingToken: an older one is shut out, the newest and none at all are not; the fence never goes back", async () => {
    const { log, other } = subject;
    const tail = await tailOf(log);
    // Tokens that grow, whichever test was before: the tail does.
    const token = tail * 10;
    expect(await log.append({ value: "before" }, { fencingToken: token })).toMatchObject({ position: tail });
    expect(await other.fence(token + 1)).toEqual({ fence: token + 1, tail: tail + 1 });
    expect(await log.fence(token + 1)).toEqual({ fence: token + 1, tail: tail + 1 });
    expect(await refusalOf(log, { fencingToken: token })).toMatchObject({
      ...refused,
      code: "FENCED",
      facts: { guard: "fencingToken", token, fence: token + 1 },
    });
    expect(await failureOf(log.fence(token))).toMatchObject({ code: "FENCED", facts: { fence: token + 1 } });
    await log.append({ value: "at" }, { fencingToken: token + 1 });
    await log.append({ value: "above" }, { fencingToken: token + 2 });
    await log.append({ value: "none" });
  });

  test("condition: by tags, by types, by both and by one of several items, each behind its position", async () => {
    const { log } = subject;
    const [tag, second] = [newTag(), newTag()];
    const first = await tailOf(log);
    await log.append([
      { value: "", type: "A", tags: [tag] },
      { value: "", type: "B", tags: [tag, second] },
      { value: "", type: `type of ${tag}` },
    ]);
    const hits: readonly [AppendOptions["condition"], number][] = [
      [{ query: { tags: [tag] }, after: 0 }, first],
      [{ query: { tags: [tag] }, after: first }, first + 1],
      [{ query: { tags: [tag, second] }, after: first - 1 }, first + 1],
      [{ query: { types: ["B"], tags: [tag] }, after: 0 }, first + 1],
      [{ query: { types: ["A", "B"], tags: [tag] }, after: 0 }, first],
      [{ query: { types: [`type of ${tag}`] }, after: 0 }, first + 2],
      [{ query: [{ tags: [newTag()] }, { tags: [second] }], after: first }, first + 1],
      [{ query: {}, after: first + 1 }, first + 2],
      [
        [
          { query: { tags: [newTag()] }, after: 0 },
          { query: { tags: [second] }, after: 0 },
        ],
        first + 1,
      ],
    ];
    for (const [condition, position] of hits) {
      expect(await refusalOf(log, { condition }), JSON.stringify(condition)).toMatchObject({
        ...refused,
        code: "CONDITION_FAILED",
        facts: { guard: "condition", position, tail: first + 3 },
      });
    }
    const misses: readonly AppendOptions["condition"][] = [
      { query: { tags: [tag] }, after: first + 1 },
      { query: { types: ["C"], tags: [tag] }, after: 0 },
      { query: { types: ["A"], tags: [second] }, after: 0 },
      { query: { tags: [tag, newTag()] }, after: 0 },
      { query: [{ types: [newTag()] }, { tags: [newTag()] }], after: 0 },
      { query: {}, after: first + 1_000 },
    ];
    for (const condition of misses) await log.append({ value: "lands" }, { condition });
  });

  test("stream: by revision, any, none and some", async () => {
    const { log } = subject;
    const tag = newTag();
    const stream = (expected: number | "any" | "noStream" | "streamExists") => ({ stream: { tag, expected } });
    const refusal = (expected: number | string, actual: number) => ({
      ...refused,
      code: "STREAM_REVISION_MISMATCH",
      facts: { guard: "stream", tag, expected, actual },
    });
    expect(await refusalOf(log, stream("streamExists"))).toMatchObject(refusal("streamExists", 0));
    expect(await refusalOf(log, stream(1))).toMatchObject(refusal(1, 0));
    const { position } = await log.append({ value: "", tags: [tag] }, stream("noStream"));
    expect(await refusalOf(log, stream("noStream"))).toMatchObject(refusal("noStream", position));
    expect(await refusalOf(log, stream(position + 1))).toMatchObject(refusal(position + 1, position));
    const { last } = await log.append([{ value: "" }, { value: "", tags: [tag] }], stream(position));
    expect(await refusalOf(log, stream(position))).toMatchObject(refusal(position, last));
    await log.append({ value: "", tags: [tag] }, stream("streamExists"));
    await log.append({ value: "", tags: [tag] }, stream("any"));
  });

  test("streams: one append over several lands where all are as expected, and names the one that is not", async () => {
    const { log } = subject;
    const [one, two] = [newTag(), newTag()];
    const { first, last } = await log.append([
      { value: "", tags: [one] },
      { value: "", tags: [two] },
    ]);
    const streams = [
      { tag: one, expected: first },
      { tag: two, expected: last },
    ];
    const both = { value: "", tags: [one, two] };
    const { position } = await log.append(both, { streams });
    expect(await refusalOf(log, { streams: [{ tag: one, expected: position }, streams[1]!] })).toMatchObject({
      code: "STREAM_REVISION_MISMATCH",
      facts: { tag: two, index: 1, expected: last, actual: position },
    });
  });

  test("any mix: it lands where all of it holds, and one guard that does not is enough", async () => {
    const { log } = subject;
    const tag = newTag();
    const session = await log.session();
    const guards = async (): Promise<AppendOptions> => ({
      session,
      expectedTail: await tailOf(log),
      fencingToken: Number.MAX_SAFE_INTEGER,
      condition: { query: { tags: [newTag()] }, after: 0 },
      stream: { tag, expected: "noStream" },
    });
    for (const [breach, code] of [
      [{ expectedTail: 1 }, "TAIL_MISMATCH"],
      [{ condition: { query: {}, after: 0 } }, "CONDITION_FAILED"],
      [{ stream: { tag, expected: "streamExists" } }, "STREAM_REVISION_MISMATCH"],
    ] as const) {
      expect(await refusalOf(log, { ...(await guards()), ...breach })).toMatchObject({ ...refused, code });
    }
    await log.append({ value: "", tags: [tag] }, await guards());
    await session.close();
  });

  test("guards see what was ordered before them in the same turn, and a refusal stops nobody else", async () => {
    const { log } = subject;
    const tag = newTag();
    const tail = await tailOf(log);
    const results = await Promise.allSettled([
      log.append({ value: "", tags: [tag] }),
      log.append({ value: "" }, { stream: { tag, expected: tail } }),
      log.append({ value: "" }, { stream: { tag, expected: "noStream" } }),
      log.append({ value: "", tags: [tag] }, { condition: { query: { tags: [tag] }, after: tail } }),
      log.append({ value: "" }, { expectedTail: tail + 3 }),
    ]);
    expect(results).toMatchObject([
      { value: { position: tail } },
      { value: { position: tail + 1 } },
      { reason: { code: "STREAM_REVISION_MISMATCH" } },
      { value: { position: tail + 2 } },
      { value: { position: tail + 3 } },
    ]);
  });

  test("of two who race exactly one wins, by tail, by condition and by stream", { timeout: 60_000 }, async () => {
    const { log, other } = subject;
    const races: ((tail: number, tag: string) => AppendOptions)[] = [
      (tail) => ({ expectedTail: tail }),
      (_tail, tag) => ({ condition: { query: { tags: [tag] }, after: 0 } }),
      (_tail, tag) => ({ stream: { tag, expected: "noStream" } }),
    ];
    for (const race of races) {
      for (let round = 0; round < 10; round += 1) {
        const tag = newTag();
        const options = race(await tailOf(log), tag);
        const results = await Promise.allSettled([
          log.append({ value: "one", tags: [tag] }, options),
          other.append({ value: "other", tags: [tag] }, options),
        ]);
        expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
        expect(results.find(({ status }) => status === "rejected")).toMatchObject({ reason: { outcome: "none" } });
      }
    }
  });
});
