// Goal: whoever writes to the log may write anything: a codec gives back what was encoded, refuses what is none, and does nothing else.
// Method: generated values there and back; random and damaged bytes.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import * as counters from "../../src/format/builtin-counters.ts";
import * as decisions from "../../src/format/builtin-decisions.ts";
import * as leases from "../../src/format/builtin-leases.ts";
import * as registers from "../../src/format/builtin-registers.ts";
import * as space from "../../src/format/builtin-space.ts";
import { paxlog } from "../../src/format/generated/wire.js";
import type { Codec } from "../../src/machine/machine.ts";
import * as values from "./builtin-values.ts";

interface Case {
  readonly what: string;
  readonly codec: Codec<unknown>;
  readonly value: fc.Arbitrary<unknown>;
}

function caseOf<Value>(what: string, codec: Codec<Value>, value: fc.Arbitrary<Value>): Case {
  return { what, codec: codec as Codec<unknown>, value };
}

const cases: readonly Case[] = [
  caseOf("a counter's command", counters.counterCommandCodec, values.counterCommand),
  caseOf("a counter's reply", counters.counterReplyCodec, values.counterReply),
  caseOf("a counter's question", counters.counterQuestionCodec, values.named),
  caseOf("a counter's answer", counters.counterAnswerCodec, fc.maxSafeInteger()),
  caseOf("a register's command", registers.registerCommandCodec, values.registerCommand),
  caseOf("a register's reply", registers.registerReplyCodec, values.registerReply),
  caseOf("a register's question", registers.registerQuestionCodec, values.named),
  caseOf("a register's answer", registers.registerAnswerCodec, values.registerState),
  caseOf("a lease's command", leases.leaseCommandCodec, values.leaseCommand),
  caseOf("a lease's reply", leases.leaseReplyCodec, values.leaseReply),
  caseOf("a lease's question", leases.leaseQuestionCodec, values.named),
  caseOf("a lease's answer and change", leases.leaseStateCodec, values.leaseState),
  caseOf("a decision's command", decisions.decisionCommandCodec, values.decisionCommand),
  caseOf("a decision's question", decisions.decisionQuestionCodec, values.named),
  caseOf("a command of the space", space.spaceCommandCodec, values.spaceCommand),
  caseOf("a reply of the space", space.spaceReplyCodec, values.spaceReply),
  caseOf("a question to the space", space.spaceQuestionCodec, values.spaceQuestion),
  caseOf("an answer of the space", space.spaceAnswerCodec, values.spaceEntries),
  caseOf("a change of the space", space.spaceChangeCodec, fc.record({ entry: values.spaceEntry })),
  caseOf("a decision's reply, answer and change", decisions.decisionStateCodec, values.decisionState),
];

/** Buffers and arrays of the same bytes are the same. */
const comparable = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, comparable(each)]));
};

/** Decodes; whatever is decoded can be encoded again. Anything but TypeError is a fault of ours. */
function tried(codec: Codec<unknown>, bytes: Uint8Array): void {
  let value: unknown;
  try {
    value = codec.decode(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    return;
  }
  expect(comparable(codec.decode(codec.encode(value)))).toEqual(comparable(value));
}

describe.each(cases)("$what", ({ codec, value }) => {
  test("comes out of its bytes as it went in", () => {
    fc.assert(
      fc.property(value, (each) => {
        expect(comparable(codec.decode(codec.encode(each)))).toEqual(comparable(each));
      }),
    );
  });

  test("is not made of bytes that are none", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => tried(codec, bytes)),
      { numRuns: 200 },
    );
    const damage = fc.array(fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }) }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(value, damage, fc.nat(), (each, places, cut) => {
        const bytes = Uint8Array.from(codec.encode(each));
        for (const { at, byte } of places) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        tried(codec, bytes);
        tried(codec, bytes.subarray(0, cut % (bytes.length + 1)));
      }),
      { numRuns: 200 },
    );
  });
});

describe("what is written and read by hand", () => {
  const { CounterCommand, CounterReply, RegisterCommand, RegisterReply } = paxlog.v1;
  const same = (written: Uint8Array, generated: { finish(): Uint8Array }): void =>
    expect(Buffer.from(written)).toEqual(Buffer.from(generated.finish()));

  test("is written as by the generated code", () => {
    fc.assert(
      fc.property(values.counterCommand, values.counterReply, values.registerReply, (command, counted, reply) => {
        const { name } = command;
        if (command.kind === "add") {
          same(counters.counterCommandCodec.encode(command), CounterCommand.encode({ name, add: command.delta }));
        }
        if (counted.kind === "done") {
          const { before, after } = counted;
          same(counters.counterReplyCodec.encode(counted), CounterReply.encode({ before, after }));
        }
        if (reply.refusal === undefined) {
          const { done, version, before } = reply;
          same(registers.registerReplyCodec.encode(reply), RegisterReply.encode({ done, version, before }));
        }
      }),
    );
    fc.assert(
      fc.property(values.registerCommand, (command) => {
        if (command.kind !== "compareAndSet") return;
        const { name, expected, next } = command;
        const compareAndSet = {
          ...(expected.kind === "version" ? { version: expected.version } : { value: expected.value }),
          ...(next === undefined ? { delete: true } : { set: next }),
        };
        same(registers.registerCommandCodec.encode(command), RegisterCommand.encode({ name, compareAndSet }));
      }),
      { numRuns: 300 },
    );
  });

  test("is read as by the generated code, which reads all that has a field nobody knows", () => {
    const unknown = Uint8Array.of(15 * 8, 1);
    const found = (codec: Codec<unknown>, bytes: Uint8Array): unknown => {
      try {
        return comparable(codec.decode(bytes));
      } catch {
        return undefined;
      }
    };
    const damage = fc.option(fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }) }));
    for (const { codec, value } of cases.slice(0, 8)) {
      fc.assert(
        fc.property(value, damage, (each, place) => {
          const bytes = Uint8Array.from(codec.encode(each));
          if (place !== null && bytes.length > 0) bytes[place.at % bytes.length] = place.byte;
          const quick = found(codec, bytes);
          if (quick !== undefined) expect(found(codec, Buffer.concat([bytes, unknown]))).toEqual(quick);
        }),
        { numRuns: 1000 },
      );
    }
  });
});

describe("a decision", () => {
  const begin =
    (participants: string[], timeoutMs = 1) =>
    () =>
      decisions.decisionCommandCodec.encode({ kind: "begin", name: "d", participants, timeoutMs });

  test("has participants, each once, not too many and not too long, and an end", () => {
    expect(begin([])).toThrow("must be 1 to 64");
    expect(begin(Array.from({ length: 65 }, (_, index) => `p${index}`))).toThrow("must be 1 to 64");
    expect(begin(["a", "a"])).toThrow("named twice");
    const long = Array.from({ length: 40 }, (_, index) => `${index}`.padEnd(1000, "x"));
    expect(begin(long)).toThrow("40000 bytes");
    expect(begin(["a"], 0)).toThrow("the time-out must be");
    expect(begin(long.slice(0, 32))).not.toThrow();
  });

  test("in which all have voted fits a reply", () => {
    const participants = Array.from({ length: 32 }, (_, index) => `${index}`.padEnd(1000, "x"));
    const state = {
      name: "d".repeat(1024),
      outcome: "committed" as const,
      deadline: 2 ** 53 - 1,
      decidedAt: 2 ** 53 - 1,
    };
    const bytes = decisions.decisionStateCodec.encode({ ...state, participants, voted: participants });
    expect(bytes.length).toBeLessThan(limits.machineReplyBytesMax);
  });
});

describe("a name or value out of bounds", () => {
  const { counterCommandCodec: counter } = counters;
  const { registerCommandCodec: register } = registers;
  test.each(["", "x".repeat(limits.objectNameBytesMax + 1), "ü".repeat(513), "\ud800"])("is refused: %#", (name) => {
    expect(() => counter.encode({ kind: "add", name, delta: 1 })).toThrow(TypeError);
  });

  test("is refused, the largest ones are taken", () => {
    const name = "ü".repeat(512);
    const value = new Uint8Array(limits.objectValueBytesMax);
    expect(register.decode(register.encode({ kind: "set", name, value }))).toMatchObject({ name });
    const larger = new Uint8Array(limits.objectValueBytesMax + 1);
    expect(() => register.encode({ kind: "set", name, value: larger })).toThrow("65537 bytes");
    expect(() => counter.encode({ kind: "add", name, delta: 2 ** 53 })).toThrow(TypeError);
    expect(() => counter.encode({ kind: "take", name, count: 0 })).toThrow("at least 1");
  });
});
