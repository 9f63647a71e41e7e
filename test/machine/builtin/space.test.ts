// Goal: a transaction does all of what it says or nothing, sees what the ones before it did and nothing else, and whoever watches hears of
// each key that it changed once. Method: generated transactions against a plain sorted list; saved and loaded on the way; each limit.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import { spaceReplyCodec } from "../../../src/format/builtin-space.ts";
import { KeySpace } from "../../../src/machine/builtin/key-space.ts";
import { spaceChanges, spaceWith } from "../../../src/machine/builtin/space.ts";
import type { SpaceOperation, SpaceQuestion, SpaceReply } from "../../../src/machine/builtin/space-values.ts";
import * as values from "../../format/builtin-values.ts";
import { comparable, PlainSpace } from "./plain-space.ts";

const machine = spaceWith(undefined);
const at = (position: number, session = 0) => ({
  position,
  time: Math.min(5 * position, Number.MAX_SAFE_INTEGER),
  session,
  random: () => 0,
});
const text = (value: string): Uint8Array => Buffer.from(value);
const put = (key: string, value: string | Uint8Array, bound = false): SpaceOperation => ({
  kind: "put",
  key: text(key),
  value: typeof value === "string" ? text(value) : value,
  bound,
  withBefore: false,
});
const everything = { key: Uint8Array.of(0), end: Uint8Array.of(0) };
const all: SpaceQuestion = { range: { keys: everything, limit: 0, keysOnly: false, countOnly: false, reverse: false } };
const transaction = (...success: SpaceOperation[]) => ({
  kind: "transaction" as const,
  compare: [],
  success,
  failure: [],
});

describe("the space", () => {
  test("agrees with a plain list of keys", () => {
    const step = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant("command" as const),
          session: fc.nat({ max: 2 }),
          command: values.spaceTransaction,
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("end" as const), session: fc.nat({ max: 2 }) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 25 }),
        fc.array(values.spaceQuestion, { maxLength: 5 }),
        (steps, questions) => {
          let space = machine.create();
          const model = new PlainSpace();
          steps.forEach((each, index) => {
            const position = index + 1;
            if (each.kind === "restart") space = machine.load([...machine.save(space)], 1);
            else if (each.kind === "end") {
              machine.ended!(space, at(position, each.session));
              model.end(each.session, position);
            } else {
              const reply = machine.apply(space, each.command, at(position, each.session));
              expect(comparable(reply)).toEqual(comparable(model.apply(each.command, position, each.session)));
            }
            expect(comparable(machine.ask!(space, all))).toEqual(comparable(model.ask(all)));
            expect(space.bytes).toBe(model.bytes());
          });
          for (const question of questions) {
            expect(comparable(machine.ask!(space, question))).toEqual(comparable(model.ask(question)));
            const told = spaceChanges(space, question, 1, 1000)!;
            expect(comparable(told.map(({ position, change }) => ({ position, entry: change.entry })))).toEqual(
              comparable(model.changesOf(question)),
            );
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  test("is as before where something was refused, and says which limit it was", () => {
    const space = machine.create();
    machine.apply(space, transaction(put("a", "1")), at(1));
    const before = comparable(machine.ask!(space, all));
    const refusal = (...operations: SpaceOperation[]) => {
      const reply = machine.apply(space, transaction(put("a", "2"), put("b", "3"), ...operations), at(2));
      expect(comparable(machine.ask!(space, all))).toEqual(before);
      expect(spaceChanges(space, all, 2, 9)).toEqual([]);
      return reply.kind === "refused" ? `${reply.code}: ${reply.message}` : reply.kind;
    };
    expect(refusal(put("c", "4", true))).toContain("SESSION_REQUIRED: a key can only be bound to a session");
    expect(refusal(...Array.from({ length: 127 }, () => put("c", "4")))).toContain("129 comparisons or operations");
    const large = new Uint8Array(limits.objectValueBytesMax);
    expect(refusal(...Array.from({ length: 65 }, () => put("c", large)))).toContain("more than 4194304 bytes");
    const gets: SpaceOperation[] = [1, 2].map(() => ({
      kind: "get",
      ...all.range,
      keys: { key: text("l"), end: undefined },
    }));
    expect(refusal(put("l", large), ...gets)).toContain("its results have more than 65536 bytes");
  });

  test("refuses to touch too many keys at once, and deletes as many as it may", () => {
    const space = machine.create();
    for (let position = 1; position <= 160; position += 1) {
      const puts = Array.from({ length: 110 }, (_, index) => put(`${position}/${index}`, ""));
      machine.apply(space, transaction(...puts), at(position));
    }
    const remove = (end: string): SpaceReply =>
      machine.apply(space, transaction({ kind: "delete", keys: { key: text("1"), end: text(end) } }), at(1000));
    expect(remove("a")).toMatchObject({ kind: "refused", code: "TRANSACTION_TOO_LARGE" });
    expect(space.size).toBe(17_600);
    expect(remove("2")).toMatchObject({ results: [{ kind: "delete", count: 110 * 72 }] });
    expect(space.size).toBe(17_600 - 110 * 72);
  });

  test("has a limit in bytes, and what is deleted makes room", () => {
    const value = new Uint8Array(limits.objectValueBytesMax);
    const space = new KeySpace(3 * (value.length + 1 + limits.spaceKeyOverheadBytes));
    const outcome = (...operations: SpaceOperation[]) => machine.apply(space, transaction(...operations), at(1)).kind;
    for (const key of ["a", "b", "c", "c"]) expect(outcome(put(key, value))).toBe("transaction");
    expect(outcome(put("d", ""))).toBe("refused");
    expect(outcome({ kind: "delete", keys: { key: text("a"), end: undefined } }, put("d", value))).toBe("transaction");
  });

  test("gives the largest reply that fits its limit", () => {
    const space = machine.create();
    const key = "k".repeat(limits.objectNameBytesMax);
    const value = new Uint8Array(limits.objectValueBytesMax);
    machine.apply(space, transaction(put(key, value)), at(Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER));
    const withBefore = { ...put(key, value, true), withBefore: true } as SpaceOperation;
    const last = at(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    const reply = machine.apply(space, transaction(withBefore), last);
    expect(reply.kind).toBe("transaction");
    expect(spaceReplyCodec.encode(reply).length).toBeLessThanOrEqual(limits.machineReplyBytesMax);
    for (let index = 0; index < 2000; index += 1) machine.apply(space, transaction(put(`${index}`, "v")), last);
    const page = machine.apply(space, transaction({ kind: "get", ...all.range }), last);
    expect(page).toMatchObject({ results: [{ more: true, count: 2001 }] });
    expect(spaceReplyCodec.encode(page).length).toBeLessThanOrEqual(limits.machineReplyBytesMax);
  });
});
