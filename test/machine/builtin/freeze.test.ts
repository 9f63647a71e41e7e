// Goal: what a machine saves in pieces, while commands go on, is byte for byte what it would have saved at once at that moment, and what
// it loads from. Method: generated commands before the moment and between the pieces, with states of many pieces.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { counters } from "../../../src/machine/builtin/counters.ts";
import { type DecisionState, decisions } from "../../../src/machine/builtin/decisions.ts";
import { type LeaseState, leases } from "../../../src/machine/builtin/leases.ts";
import { registers } from "../../../src/machine/builtin/registers.ts";
import { spaceWith } from "../../../src/machine/builtin/space.ts";
import type { AnyMachine } from "../../../src/machine/machine.ts";
import { randomOf } from "../../../src/machine/random.ts";

const none = new Uint8Array(0);
type Random = () => number;
const below = (random: Random, end: number): number => Math.floor(random() * end);
const someName = (random: Random): string => `${below(random, 900)}`.padEnd(1 + below(random, 300), "é");
const someValue = (random: Random): Uint8Array => new Uint8Array(below(random, 600)).fill(below(random, 256));

/** Of sessions and participants: small, so that many meet at one name. */
const someone = (random: Random): number => 1 + below(random, 12);

/** Commands that set, change and delete names, old ones and new ones; some say what is so in the state of now. */
const commands: Readonly<Record<string, (random: Random, ask: (question: unknown) => unknown) => unknown>> = {
  counters: (random) => ({ kind: "add", name: someName(random), delta: below(random, 5) - 2 }),
  registers: (random) => {
    const name = `${below(random, 900)}`;
    return random() < 0.3 ? { kind: "delete", name } : { kind: "set", name, value: someValue(random) };
  },
  space: (random) => {
    const key = Buffer.from(`${below(random, 900)}`);
    const keys = { key, end: random() < 0.1 ? Buffer.from(`${below(random, 900)}`) : undefined };
    const put = { kind: "put", key, value: someValue(random), bound: random() < 0.2, withBefore: false };
    return {
      kind: "transaction",
      compare: [],
      success: [random() < 0.3 ? { kind: "delete", keys } : put],
      failure: [],
    };
  },
  leases: (random, ask) => {
    // Few names, with lines; the others have a holder each.
    const name = random() < 0.5 ? `line ${below(random, 8)}` : someName(random);
    const { token } = ask({ name }) as LeaseState;
    if (random() < 0.15) return { kind: "proclaim", name, token, value: someValue(random) };
    if (random() < 0.2) return { kind: "release", name, token: random() < 0.5 ? 0 : token };
    return { kind: "acquire", name, value: someValue(random), wait: true };
  },
  decisions: (random, ask) => {
    const name = someName(random);
    const { outcome, participants } = ask({ name }) as DecisionState;
    if (outcome === "unknown") {
      const count = someone(random);
      return {
        kind: "begin",
        name,
        participants: Array.from({ length: count }, (_, each) => `${each}`),
        timeoutMs: 900,
      };
    }
    if (outcome !== "pending") return { kind: "forget", name };
    if (random() < 0.2) return { kind: "timeout", name };
    const participant = participants[below(random, participants.length)]!;
    return { kind: "vote", name, participant, yes: random() < 0.9 };
  },
};

const machines: readonly AnyMachine[] = [counters, registers, spaceWith(undefined), leases, decisions];

describe.each(machines)("$name", (machine) => {
  test("are saved in pieces as they would be at once", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat({ max: 60 }), (seed, between) => {
        const random = randomOf(seed);
        const state: unknown = machine.create();
        const ask = (question: unknown): unknown => machine.ask!(state as never, question);
        let position = 0;
        const apply = (count: number): void => {
          for (let each = 0; each < count; each += 1) {
            position += 1 + below(random, 3);
            const at = { position, time: 1000 + 2 * position, session: someone(random), random };
            if (random() < 0.01) machine.ended?.(state, at);
            else machine.apply(state, commands[machine.name]!(random, ask), at);
          }
        };
        apply(2500);
        const atOnce = Buffer.concat([...machine.save(state)]);
        const frozen = machine.freeze!(state);
        const pieces: Uint8Array[] = [];
        for (const piece of frozen.pieces) {
          pieces.push(Uint8Array.from(piece));
          apply(between);
        }
        frozen.release();
        expect(pieces.length).toBeGreaterThan(2);
        expect(Buffer.compare(Buffer.concat(pieces), atOnce)).toBe(0);
        // It is a state, and commands between the pieces did what they do.
        const loaded: unknown = machine.load([atOnce], machine.version);
        expect(Buffer.compare(Buffer.concat([...machine.save(loaded)]), atOnce)).toBe(0);
        if (between > 0) expect(Buffer.compare(Buffer.concat([none, ...machine.save(state)]), atOnce)).not.toBe(0);
      }),
      { numRuns: 8 },
    );
  });
});
