/** Goal: trims and holds mean the same on every way of use. Method: the built package, real nodes, positions of what was appended. */
import { expect, test } from "vitest";
import { describeEveryWay, failureOf, recordsFrom, tailOf, textOf } from "./suite.ts";

describeEveryWay((subject) => {
  test("a trim moves the head for everyone, and records from there on stay", async () => {
    const { log, other } = subject;
    const { first } = await log.append([{ value: "a" }, { value: "b" }, { value: "c" }]);
    expect(await log.trim(first + 1)).toEqual({ head: first + 1, heldBy: undefined });
    expect((await other.tail()).head).toBe(first + 1);
    expect((await recordsFrom(other, first + 1)).map(textOf)).toEqual(["b", "c"]);
    const failure = await failureOf(recordsFrom(other, first));
    expect(failure).toMatchObject({ code: "POSITION_BELOW_HEAD", outcome: "none", facts: { head: first + 1 } });
  });

  test("a trim to a position behind the head changes nothing, and one past the tail is refused", async () => {
    const { log } = subject;
    const { position } = await log.append({ value: "x" });
    await log.trim(position);
    expect(await log.trim(1)).toEqual({ head: position, heldBy: undefined });
    expect(await failureOf(log.trim(position + 2))).toMatchObject({
      code: "POSITION_PAST_TAIL",
      facts: { tail: position + 1 },
    });
    expect(await log.trim(position + 1)).toMatchObject({ head: position + 1 });
    expect(await log.tail()).toMatchObject({ head: position + 1, tail: position + 1 });
    expect(await failureOf(log.trim(0))).toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("no trim passes a hold, until it is moved or dropped", async () => {
    const { log, other } = subject;
    const { first } = await log.append([{ value: "a" }, { value: "b" }, { value: "c" }]);
    const hold = await log.hold("backup", { position: first, owner: "me", ttlMs: 60_000 });
    expect(hold).toMatchObject({ name: "backup", owner: "me", position: first });
    expect(hold.expiresAt).toBeGreaterThan(Date.now());
    expect((await log.status()).holds).toEqual([hold]);
    expect(await other.trim(first + 3)).toEqual({ head: first, heldBy: hold });
    const moved = await other.hold("backup", { position: first + 1, owner: "me" });
    expect(await log.trim(first + 3)).toEqual({ head: first + 1, heldBy: moved });
    expect(await failureOf(log.hold("backup", { position: first + 2, owner: "you" }))).toMatchObject({
      code: "HOLD_TAKEN",
      facts: { name: "backup", owner: "me" },
    });
    expect(await failureOf(log.hold("late", { position: first, owner: "me" }))).toMatchObject({
      code: "POSITION_BELOW_HEAD",
      facts: { head: first + 1 },
    });
    expect([await log.dropHold("backup"), await log.dropHold("backup")]).toEqual([true, false]);
    expect(await log.trim(first + 3)).toEqual({ head: first + 3, heldBy: undefined });
  });

  test("what was trimmed is not there for guards either", async () => {
    const { log } = subject;
    const tag = `trimmed ${await tailOf(log)}`;
    const { position } = await log.append({ value: "x", tags: [tag] });
    await log.trim(position + 1);
    expect(await log.append({ value: "y" }, { condition: { query: { tags: [tag] }, after: 0 } })).toBeDefined();
    expect(await failureOf(log.append({ value: "y" }, { stream: { tag, expected: position } }))).toMatchObject({
      code: "STREAM_REVISION_MISMATCH",
      facts: { actual: 0 },
    });
    expect(await log.append({ value: "y", tags: [tag] }, { stream: { tag, expected: "noStream" } })).toBeDefined();
  });
});
