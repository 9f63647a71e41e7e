// Goal: a built-in machine is the same on every node. Method: generated commands through its codecs, on replicas of which one is saved and
// loaded all the time, with clock, chance and promises taken away.
import fc from "fast-check";
import { expect, test } from "vitest";
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

test("every machine has codecs for all that crosses the network", () => {
  for (const { commands: codec, codecs } of builtinMachines) {
    expect([codec, codecs?.replies, codecs?.questions, codecs?.answers].every((each) => each !== undefined)).toBe(true);
  }
});
