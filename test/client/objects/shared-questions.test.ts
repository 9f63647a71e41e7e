// Goal: questions of one turn travel together, and each caller has the answer to the own question, or the own error.
// Method: a node in memory that notes what it is asked.
import { expect, test } from "vitest";
import { PaxlogError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import type { AnyNode } from "../../../src/client/any-node.ts";
import type { NodeLink } from "../../../src/client/node-link.ts";
import { SharedQuestions } from "../../../src/client/objects/shared-questions.ts";
import type { AskManyRequest, AskRequest } from "../../../src/format/object-codec.ts";

const refused = Buffer.from("refused");
const unknown = new PaxlogError("MACHINE_UNKNOWN", "none of this name");

/** Answers with the question itself; refuses one question, and knows no machine "other". */
function startNode() {
  const calls: { machine: string; count: number; freshness: unknown }[] = [];
  const link = {
    ask: async ({ machine, question, freshness }: AskRequest) => {
      calls.push({ machine, count: 1, freshness });
      if (refused.equals(question)) throw new PaxlogError("INVALID_ARGUMENT", "no question");
      return { answer: question, position: 7, freshness: "linearizable" };
    },
    askMany: async ({ machine, questions, freshness }: AskManyRequest) => {
      calls.push({ machine, count: questions.length, freshness });
      if (machine === "other") throw unknown;
      const answers = questions.map((question) => (refused.equals(question) ? undefined : question));
      return { answers, position: 7, freshness: "linearizable" };
    },
  } as unknown as NodeLink;
  const bounds = { deadlineMs: 1000, signal: undefined };
  const nodes = { ask: (question: Parameters<AnyNode["ask"]>[0]) => question(link, bounds) } as unknown as AnyNode;
  const shared = new SharedQuestions(nodes);
  const ask = async (machine: string, text: string, freshness: AskRequest["freshness"] = "linearizable") =>
    Buffer.from((await shared.ask({ machine, question: Buffer.from(text), freshness })).answer).toString();
  return { calls, ask };
}

test("questions to one machine with one freshness are one call; each has its answer", async () => {
  const { calls, ask } = startNode();
  const asked = ["a", "b", "c"].map((text) => ask("m", text));
  const others = [ask("m", "d", "local"), ask("m", "e", { atLeast: 3 }), ask("m", "f", { atLeast: 3 }), ask("n", "g")];
  expect(await Promise.all([...asked, ...others])).toEqual(["a", "b", "c", "d", "e", "f", "g"]);
  expect(calls).toEqual([
    { machine: "m", count: 3, freshness: "linearizable" },
    { machine: "m", count: 1, freshness: "local" },
    { machine: "m", count: 2, freshness: { atLeast: 3 } },
    { machine: "n", count: 1, freshness: "linearizable" },
  ]);
});

test("what has no answer among the others is asked by itself, and its error is that caller's alone", async () => {
  const { ask } = startNode();
  const [good, bad] = await Promise.allSettled([ask("m", "a"), ask("m", "refused")]);
  expect(good).toMatchObject({ status: "fulfilled", value: "a" });
  expect(bad).toMatchObject({ status: "rejected", reason: { code: "INVALID_ARGUMENT" } });
});

test("a call that fails is the error of all that it asked for", async () => {
  const { ask } = startNode();
  const settled = await Promise.allSettled([ask("other", "a"), ask("other", "b")]);
  expect(settled.map((each) => each.status === "rejected" && each.reason)).toEqual([unknown, unknown]);
});

test("more questions than one call takes, or larger ones, are several calls", async () => {
  const { calls, ask } = startNode();
  await Promise.all(Array.from({ length: limits.askManyQuestions + 2 }, (_, index) => ask("m", `${index}`)));
  expect(calls.map(({ count }) => count)).toEqual([limits.askManyQuestions, 2]);
  calls.length = 0;
  const large = "x".repeat(limits.askManyBytes / 2);
  await Promise.all([ask("m", large), ask("m", large), ask("m", large)]);
  expect(calls.map(({ count }) => count)).toEqual([2, 1]);
});
