// The state as a function of the log: saved and loaded it is the same, and entries that no sequencer may have ordered are found.
import { describe, expect, test } from "vitest";
import { firstPosition, type Position, type Slot } from "../../src/base/types.ts";
import { noBallot } from "../../src/core/ballot.ts";
import type { Entry, EntryHeader } from "../../src/core/entry.ts";
import type { SessionEnd } from "../../src/core/sequencer.ts";
import { makeEntryMaker } from "../../src/format/entry.ts";
import { makeEntryParts } from "../../src/format/entry-parts.ts";
import { loadHashing } from "../../src/native/hashing.ts";
import { encodeFence, encodeSession, type SessionControl } from "../../src/sequencer/control.ts";
import { emptySnapshot, LogState } from "../../src/sequencer/log-state.ts";

const hashing = await loadHashing("portable");
const parts = makeEntryParts(hashing);
const makeEntry = makeEntryMaker(hashing);

/** The next entry of a log that this state is of. */
function entry(
  state: LogState,
  facts: Partial<EntryHeader>,
  content: Uint8Array = new Uint8Array(0),
  guards: Uint8Array = new Uint8Array(0),
): Entry {
  const { end: slot, nextPosition, time } = state;
  const header = {
    slot,
    originBallot: noBallot,
    floor: 1 as Slot,
    kind: "batch",
    firstPosition: nextPosition,
  } as const;
  const rest = { time, session: 0, serial: 0, guardLength: 0, prevHash: "00".repeat(16) as never };
  const recordCount = (facts.kind ?? "batch") === "batch" ? 1 : 0;
  const batchChecksum = hashing.crc32c(content);
  return makeEntry({ ...header, ...rest, recordCount, batchChecksum, ...facts }, { batch: content, guards });
}

const session = (state: LogState, id: number, control: SessionControl, facts: Partial<EntryHeader> = {}): Entry =>
  entry(state, { kind: "session", session: id, ...facts }, encodeSession(control));
const fence = (state: LogState, token: number): Entry => entry(state, { kind: "fence" }, encodeFence(token));

/** The batch that says that a session ended. */
function ended(state: LogState, id: number, end: SessionEnd, facts: Partial<EntryHeader> = {}): Entry {
  const { batch, guards } = parts.sessionEnd(id, end);
  return entry(state, { session: id, guardLength: guards.length, ...facts }, batch, guards);
}

/** A log with an open session of one request and a fence. */
function begun(): LogState {
  const state = new LogState();
  const take = (next: Entry) => expect(state.apply(next, parts)).toBeUndefined();
  take(session(state, 0, { op: "open", ttlMs: 1000, announceEnd: false }));
  take(entry(state, { session: 1, serial: 5, time: 200 }));
  take(fence(state, 7));
  return state;
}

describe("the state of a log", () => {
  test("is the same after it was saved and loaded", () => {
    const state = begun();
    const again = new LogState(structuredClone(state.save()));
    expect(again.save()).toEqual(state.save());
    expect(again).toMatchObject({ end: 4, nextPosition: 2, time: 200, fence: 7 });
    expect(again.sessions.judge(1, 5)).toMatchObject({ kind: "known", outcome: { firstPosition: 1, slot: 2 } });
    expect(new LogState().save()).toEqual(emptySnapshot);
  });

  test("tells what no sequencer may have ordered", () => {
    const faults = [
      (state: LogState) => entry(state, { slot: 9 as Slot }),
      (state: LogState) => entry(state, { session: 1, serial: 5 }),
      (state: LogState) => entry(state, { session: 2, serial: 1 }),
      (state: LogState) => session(state, 2, { op: "keep" }),
      (state: LogState) => session(state, 2, { op: "close" }),
      (state: LogState) => session(state, 1, { op: "expire" }, { time: 1199 }),
      (state: LogState) =>
        session(
          state,
          1,
          { op: "refused", refusal: { guard: "stream", index: 0, actual: 0, tail: firstPosition } },
          { serial: 4 },
        ),
      (state: LogState) => fence(state, 6),
      (state: LogState) => entry(state, { kind: "fence" }, new Uint8Array(3)),
      (state: LogState) => entry(state, { kind: "session" }, new Uint8Array(3)),
    ];
    for (const make of faults) {
      const state = begun();
      expect(state.apply(make(state), parts)).toMatch(/^slot \d+/);
    }
    const state = begun();
    expect(state.apply(session(state, 1, { op: "expire" }, { time: 1200 }), parts)).toBeUndefined();
    expect(state.sessions.judge(1, 6)).toEqual({ kind: "unknown" });
    expect(state.nextPosition).toBe(2 as Position);
  });

  test("has a session that announces its end until a batch of its own says that it ended, and nothing else may say so", () => {
    const announcing = (): LogState => {
      const state = new LogState();
      state.apply(session(state, 0, { op: "open", ttlMs: 1000, announceEnd: true }), parts);
      return state;
    };
    const faults = [
      (state: LogState) => session(state, 1, { op: "close" }),
      (state: LogState) => session(state, 1, { op: "expire" }, { time: 1000 }),
      (state: LogState) => ended(state, 1, "expired", { time: 999 }),
      (state: LogState) => ended(state, 2, "closed"),
      // Another session's end, without its hashes, and any other batch without a serial.
      (state: LogState) => entry(state, { session: 1 }, parts.sessionEnd(2, "closed").batch),
      (state: LogState) => entry(state, { session: 1 }, parts.sessionEnd(1, "closed").batch),
      (state: LogState) => entry(state, { session: 1 }, Buffer.from("ended")),
    ];
    for (const make of faults) {
      const state = announcing();
      expect(state.apply(make(state), parts)).toMatch(/^slot 2: /);
    }
    for (const [end, time] of [["closed", 5] as const, ["expired", 1000] as const]) {
      const state = announcing();
      expect(new LogState(structuredClone(state.save())).sessions.announces(1)).toBe(true);
      expect(state.apply(ended(state, 1, end, { time }), parts)).toBeUndefined();
      expect(state).toMatchObject({ end: 3, nextPosition: 2, sessions: { count: 0 } });
      expect(state.apply(ended(state, 1, end, { time }), parts)).toMatch(/session 1 is not open/);
    }
    const silent = begun();
    expect(silent.apply(ended(silent, 1, "closed"), parts)).toMatch(/must not be announced/);
  });
});
