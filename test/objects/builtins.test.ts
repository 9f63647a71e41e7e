// Goal: a built-in machine is the same on every node. Method: generated commands through its codecs, on replicas of which one is saved and
// loaded all the time, with clock, chance and promises taken away.
import fc from "fast-check";
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { SpaceQuestion } from "../../src/machine/builtin/space-values.ts";
import type { AnyMachine } from "../../src/machine/machine.ts";
import { builtinMachines } from "../../src/objects/builtins.ts";
import { checkMachine } from "../../src/testing/index.ts";
import * as values from "../format/builtin-values.ts";

const commands: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  registers: values.registerCommand,
  counters: values.counterCommand,
  space: values.spaceCommand,
  leases: values.leaseCommand,
  decisions: values.decisionCommand,
};

test.each(builtinMachines.map((machine) => ({ name: machine.name, machine })))("$name", ({ name, machine }) => {
  const samples = fc.sample(commands[name]!, { numRuns: 400, seed: 7 });
  checkMachine(machine as AnyMachine, {
    command: (random) => samples[Math.floor(random() * samples.length)],
    commands: 300,
    runs: 3,
  });
});

/** A command as somebody may write it who wants to know how far they can go: names and values as large as may be. */
function enlarged(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.length > 2 ? new Uint8Array(limits.objectValueBytesMax) : value;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(enlarged);
  const entries = Object.entries(value).map(([field, each]) => {
    const isName = (field === "name" || field === "participant") && typeof each === "string";
    return [field, isName ? [...each][0]!.repeat(limits.objectNameBytesMax / 4) : enlarged(each)];
  });
  return Object.fromEntries(entries);
}

test.each(builtinMachines.map((machine) => ({ name: machine.name, machine })))(
  "whatever $name are told, they do not fail, and what they say fits its message",
  ({ name, machine }) => {
    const steps = fc.array(fc.tuple(commands[name]!, fc.boolean(), fc.nat({ max: 3 }), fc.nat({ max: 9 })), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(steps, (all) => {
        // biome-ignore lint/suspicious/noExplicitAny: of whichever machine.
        const state: any = machine.create();
        all.forEach(([command, isLarge, session, end], index) => {
          const at = { position: index + 1, time: index, session, random: () => 0 };
          if (end === 0) machine.ended?.(state, at);
          const codec = machine.commands!;
          const told: unknown = codec.decode(codec.encode(isLarge ? enlarged(command) : command));
          const reply = machine.codecs!.replies!.encode(machine.apply(state, told, at));
          expect(reply.length).toBeLessThanOrEqual(limits.machineReplyBytesMax);
          const question: unknown = name === "space" ? everyKey : { name: (told as { name: string }).name };
          machine.codecs!.answers!.encode(machine.ask!(state, question));
          for (const { position, change } of machine.changes?.(state, question, index + 1, 10) ?? []) {
            expect(position).toBe(index + 1);
            expect(change.length).toBeLessThanOrEqual(limits.machineReplyBytesMax);
          }
        });
      }),
      { numRuns: 40 },
    );
  },
);

const everyKey: SpaceQuestion = {
  range: {
    keys: { key: Uint8Array.of(0), end: Uint8Array.of(0) },
    limit: 0,
    keysOnly: false,
    countOnly: false,
    reverse: false,
  },
};

test("every machine has codecs for all that crosses the network", () => {
  for (const { commands: codec, codecs } of builtinMachines) {
    expect([codec, codecs?.replies, codecs?.questions, codecs?.answers].every((each) => each !== undefined)).toBe(true);
  }
});
