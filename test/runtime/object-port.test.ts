// Goal: every answer of a machine reaches whoever asked for it over the port, in whatever order they come.
// Method: both ends in one thread, and machines that answer when the test says so.
import { MessageChannel } from "node:worker_threads";
import { expect, test } from "vitest";
import type { Position } from "../../src/base/types.ts";
import { ObjectProxy } from "../../src/runtime/object-proxy.ts";
import { ObjectServer } from "../../src/runtime/object-server.ts";
import type {
  MachineAnswer,
  MachineAnswers,
  MachineQuestions,
  ObjectBackend,
} from "../../src/transport/object-backend.ts";

test("an answer that waited while others were sent is not lost", async () => {
  const { port1, port2 } = new MessageChannel();
  const pending: ((answer: MachineAnswer) => void)[] = [];
  const objects = { ask: () => new Promise<MachineAnswer>((resolve) => pending.push(resolve)) };
  const server = new ObjectServer(port1, objects as unknown as ObjectBackend);
  const proxy = new ObjectProxy({ port: port2, machines: ["m"], onNeeded: () => {} });
  const asks = [1, 2, 3].map((number) =>
    proxy.ask({ machine: "m", question: Uint8Array.of(number), appliedTo: 0 }).then(({ position }) => position),
  );
  while (pending.length < 3) await new Promise(setImmediate);
  const told: number[] = [];
  for (const index of [1, 2, 0]) {
    pending[index]!({ answer: new Uint8Array(0), position: index as Position });
    told.push(await asks[index]!);
  }
  expect(told).toEqual([1, 2, 0]);
  server.close();
});

test("many questions go over together, and what has no answer among them stays without one", async () => {
  const { port1, port2 } = new MessageChannel();
  const objects = {
    askMany: async ({ questions }: MachineQuestions): Promise<MachineAnswers> => ({
      answers: questions.map((question) => (question[0] === 2 ? undefined : question)),
      position: 9 as Position,
    }),
  };
  const server = new ObjectServer(port1, objects as unknown as ObjectBackend);
  const proxy = new ObjectProxy({ port: port2, machines: ["m"], onNeeded: () => {} });
  const questions = [Uint8Array.of(1), Uint8Array.of(2, 2), new Uint8Array(0), Uint8Array.of(3)];
  const { answers, position } = await proxy.askMany({ machine: "m", questions, appliedTo: 0 });
  expect([answers, position]).toEqual([[questions[0], undefined, questions[2], questions[3]], 9]);
  server.close();
});
