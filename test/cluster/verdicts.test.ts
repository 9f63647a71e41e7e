// Goal: the verdicts on guarded appends, by Append and by AppendStream, with tail reads and fences between them, are those of one log,
// whatever happens to its leader. Method: real processes, clients that speak the wire protocol and write down all that they are
// told, a leader that is killed and one that stands still meanwhile, and a checker that searches for one order of it all.
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import { checkLinearizable } from "../../src/linearizability/checker.ts";
import { explain } from "../../src/linearizability/explain.ts";
import { makeLogModel } from "../../src/linearizability/log-model.ts";
import { Random } from "../../src/simulator/random.ts";
import { Demands } from "../transport/verdicts.ts";
import { pause, TestCluster } from "./harness.ts";
import { type Recorder, WireClient, withFates } from "./wire-clients.ts";

let cluster: TestCluster;

beforeEach(async () => {
  cluster = await TestCluster.start();
});

afterEach(async () => {
  await cluster.stop();
});

const perStream = 4;
/** More would only make the search longer. */
const operationsMax = 4_000;

test("what clients see of guarded appends on both ways is one log, over a killed and a frozen leader", {
  timeout: 240_000,
}, async () => {
  const recorder: Recorder = { history: [], tail: 1 };
  const ports = cluster.nodes.map(({ address }) => Number(address.split(":").at(-1)));
  let running = true;
  const goesOn = () => running && recorder.history.length < operationsMax;
  const client = (name: string) => new WireClient(name, ports, recorder);

  async function unary(name: string, seed: number): Promise<void> {
    const mine = client(name);
    const demands = new Demands(new Random(seed), [await mine.openSession()], name);
    while (goesOn()) {
      const input = demands.next(recorder.tail);
      let result = await mine.append(input);
      // Within a session the same request is sent until it is answered.
      while (goesOn() && result.kind !== "ok" && input.guards.session !== undefined) result = await mine.append(input);
      await pause(5);
    }
    mine.close();
  }

  async function streams(name: string, seed: number): Promise<void> {
    const mine = client(name);
    const demands = new Demands(new Random(seed), [await mine.openSession()], name);
    while (goesOn()) {
      let inputs = Array.from({ length: perStream }, (_, index) => demands.next(recorder.tail + index));
      while (goesOn() && inputs.length > 0) {
        const results = await mine.appendInStream(inputs);
        inputs = inputs.filter(({ guards }, index) => results[index]!.kind !== "ok" && guards.session !== undefined);
      }
      await pause(10);
    }
    mine.close();
  }

  async function observe(name: string, seed: number): Promise<void> {
    const random = new Random(seed);
    const mine = client(name);
    while (goesOn()) {
      if (random.chance(0.1)) await mine.fence(random.below(6));
      else await mine.checkTail();
      await pause(10);
    }
    mine.close();
  }

  const clients = [
    unary("unary 1", 1),
    unary("unary 2", 2),
    streams("stream 1", 3),
    streams("stream 2", 4),
    observe("observer", 5),
  ];
  await until(() => recorder.tail > 50);
  const killed = await cluster.leader();
  await cluster.kill(killed);
  let tail = recorder.tail;
  await until(() => recorder.tail > tail + 50);
  await cluster.restart(killed).line(0);

  const frozen = await cluster.leader();
  process.kill(frozen.pid, "SIGSTOP");
  tail = recorder.tail;
  await until(() => recorder.tail > tail + 20);
  process.kill(frozen.pid, "SIGCONT");
  tail = recorder.tail;
  await until(() => recorder.tail > tail + 50);
  running = false;
  await Promise.all(clients);

  const log = await connect(cluster.addresses);
  const positions = new Map<string, number>();
  for await (const { position, value } of log.read()) {
    const text = Buffer.from(value).toString();
    if (!positions.has(text)) positions.set(text, position);
  }
  await log.close();
  const history = withFates(recorder.history, positions);
  const count = (name: string, kind: string) =>
    history.filter(
      ({ client: by, result }) => by.startsWith(name) && result.kind === "ok" && result.output.kind === kind,
    ).length;
  for (const way of ["unary", "stream"]) {
    expect(count(way, "appended")).toBeGreaterThan(20);
    expect(count(way, "refused")).toBeGreaterThan(20);
  }
  const model = makeLogModel();
  const verdict = checkLinearizable(model, history, { timeMs: 60_000 });
  expect(verdict.kind === "linearizable" ? "" : explain(model, verdict)).toBe("");
});

async function until(condition: () => boolean, timeoutMs = 60_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("the log does not go on");
    await pause(5);
  }
}
