// The one history takes nothing that breaks a promise: each test tells it one such thing.
import { describe, expect, test } from "vitest";
import { type Hash, type NodeId, type Position, position, type Slot, slot } from "../../src/base/types.ts";
import type { Entry } from "../../src/core/entry.ts";
import { entryHeaderBytes } from "../../src/format/entry.ts";
import { encodeSession, type SessionControl } from "../../src/sequencer/control.ts";
import { Ledger } from "../../src/simulator/ledger.ts";
import { Violation } from "../../src/simulator/violation.ts";

/** An entry that follows another; the append's number stands in `serial`. */
function entryAfter(before: Entry | undefined, append: number, change: Partial<Entry> = {}): Entry {
  const at = slot(before === undefined ? 1 : before.slot + 1);
  return {
    slot: at,
    originBallot: { configId: 1, n: 1, nodeId: 1 as NodeId },
    floor: at,
    kind: "batch",
    firstPosition: position(before === undefined ? 1 : before.firstPosition + before.recordCount),
    recordCount: 2,
    time: 100,
    session: 0,
    serial: append,
    batchChecksum: 0,
    guardLength: 0,
    prevHash: before?.hash ?? ("start" as Hash),
    hash: `hash ${append}` as Hash,
    bytes: new Uint8Array(0),
    ...change,
  };
}

function ledgerWith(appends: number): { ledger: Ledger; entries: Entry[] } {
  const ledger = new Ledger((entry) => entry.serial);
  const entries: Entry[] = [];
  for (let id = 1; id <= appends; id += 1) {
    ledger.appendBegins(id);
    const entry = entryAfter(entries[entries.length - 1], id);
    entries.push(entry);
    ledger.decided("n1", entry);
  }
  return { ledger, entries };
}

const acknowledged = (entry: Entry) => {
  const { firstPosition, recordCount, time } = entry;
  return { kind: "acknowledged", firstPosition, recordCount, time } as const;
};

describe("the history", () => {
  test("takes what continues it, and the same again from another node", () => {
    const { ledger, entries } = ledgerWith(3);
    expect(ledger.end).toBe(4);
    expect(ledger.nextPosition).toBe(7);
    expect(ledger.decided("n2", entries[1]!)).toEqual({ isNew: false });
  });

  test("refuses another entry in a decided slot", () => {
    const { ledger, entries } = ledgerWith(3);
    expect(() => ledger.decided("n2", { ...entries[1]!, hash: "other" as Hash })).toThrow(Violation);
  });

  const faults: [string, Partial<Entry>][] = [
    ["a hole", { slot: 5 as Slot }],
    ["an entry that does not follow the last one", { prevHash: "other" as Hash }],
    ["positions with a gap", { firstPosition: 8 as Position }],
    ["positions that overlap", { firstPosition: 6 as Position }],
    ["time that goes back", { time: 99 }],
    ["what nobody appended", { serial: 99 }],
    ["one append in two slots", { serial: 2 }],
  ];
  for (const [name, change] of faults) {
    test(`refuses ${name}`, () => {
      const { ledger, entries } = ledgerWith(3);
      ledger.appendBegins(4);
      expect(() => ledger.decided("n1", entryAfter(entries[2], 4, change))).toThrow(Violation);
    });
  }
});

describe("an answer", () => {
  test("acknowledges what is decided, at its position", () => {
    const { ledger, entries } = ledgerWith(2);
    ledger.appendEnds(2, acknowledged(entries[1]!));
    expect(ledger.acknowledged).toBe(1);
    expect(ledger.floor).toBe(5);
  });

  test("is refused where it acknowledges what is not decided, or another position", () => {
    const { ledger, entries } = ledgerWith(2);
    ledger.appendBegins(3);
    expect(() => ledger.appendEnds(3, acknowledged(entries[1]!))).toThrow(Violation);
    expect(() => ledger.appendEnds(1, acknowledged(entries[1]!))).toThrow(Violation);
  });

  test("is refused where it comes twice", () => {
    const { ledger } = ledgerWith(1);
    ledger.appendEnds(1, "lost");
    expect(() => ledger.appendEnds(1, "lost")).toThrow(Violation);
  });

  test("with outcome none means that the append never lands, before or after", () => {
    const none = { kind: "failed", code: "NOT_LEADER", outcome: "none" } as const;
    const { ledger, entries } = ledgerWith(1);
    expect(() => ledger.appendEnds(1, none)).toThrow(Violation);
    ledger.appendBegins(2);
    ledger.appendEnds(2, none);
    expect(() => ledger.decided("n1", entryAfter(entries[0], 2))).toThrow(Violation);
  });

  test("with outcome unknown may land later", () => {
    const { ledger, entries } = ledgerWith(1);
    ledger.appendBegins(2);
    ledger.appendEnds(2, { kind: "failed", code: "LEADER_LOST", outcome: "unknown" });
    expect(ledger.decided("n1", entryAfter(entries[0], 2))).toEqual({ isNew: true });
  });
});

test("a linearizable read must show what was acknowledged, or read, before it began", () => {
  const { ledger, entries } = ledgerWith(3);
  ledger.appendEnds(1, acknowledged(entries[0]!));
  const floor = ledger.floor;
  ledger.readEnds("n2", floor, position(5));
  expect(() => ledger.readEnds("n3", ledger.floor, position(3))).toThrow(Violation);
  expect(() => ledger.readEnds("n3", floor, position(2))).toThrow(Violation);
  ledger.readEnds("n3", floor, position(3));
});

describe("an announced end of a session", () => {
  const hash = (name: string) => ({ hash: name as Hash });
  const control = (of: SessionControl, session = 0): Partial<Entry> => ({
    kind: "session",
    recordCount: 0,
    session,
    serial: 0,
    bytes: Buffer.concat([Buffer.alloc(entryHeaderBytes), encodeSession(of)]),
  });

  /** The log of one session, the entries of which are decided in this order. */
  function decide(announceEnd: boolean, ...changes: Partial<Entry>[]): Ledger {
    const ledger = new Ledger((entry) => entry.serial);
    ledger.appendBegins(7);
    let last: Entry | undefined;
    for (const [index, change] of [control({ op: "open", ttlMs: 1000, announceEnd }), ...changes].entries()) {
      last = entryAfter(last, 0, { ...hash(`${index}`), ...change });
      ledger.decided("n1", last);
    }
    return ledger;
  }

  const request = { session: 1, serial: 7 };
  const end = { session: 1, serial: 0, recordCount: 1 };

  test("is a batch that nobody appended", () => {
    expect(decide(true, request, end).announcedEnds).toMatchObject([{ entry: { slot: 3, session: 1 } }]);
  });

  const broken: [string, boolean, Partial<Entry>[]][] = [
    ["comes twice", true, [end, end]],
    ["is followed by a request", true, [end, request]],
    ["was not asked for", false, [end]],
    ["is a control entry", true, [control({ op: "expire" }, 1)]],
    ["is of a session that was never opened", true, [{ ...end, session: 2 }]],
  ];
  test.each(broken)("breaks a promise where it %s", (_, announceEnd, changes) => {
    expect(() => decide(announceEnd, ...changes)).toThrow(Violation);
  });
});
