// Goal: shared objects do the same on every way to use the log, seen by two handles, and recipes work between them.
// Method: the built package, real nodes; names of its own for each test.
import { expect, test } from "vitest";
import { election, semaphore, serviceRegistry, workQueue } from "../../src/index.ts";
import { describeEveryWay, failureOf, newTag } from "./suite.ts";

describeEveryWay((subject) => {
  test("a counter of two handles: each adds once, ranges do not overlap, and both read the same", async () => {
    const name = newTag();
    const handles = [subject.log.counter(name), subject.other.counter(name)];
    const added = await Promise.all(Array.from({ length: 200 }, (_, index) => handles[index % 2]!.fetchAdd(1)));
    expect(added.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, index) => index));
    const ranges = await Promise.all(Array.from({ length: 10 }, (_, index) => handles[index % 2]!.take(5)));
    expect(ranges.map(({ first }) => first).toSorted((a, b) => a - b)).toEqual(
      ranges.map((_, index) => 201 + 5 * index),
    );
    for (const handle of handles) expect(await handle.get()).toBe(250);
    const { position } = await subject.log.append({ value: "of somebody else" });
    expect(await handles[1]!.get({ freshness: { atLeast: position } })).toBe(250);
    expect(await failureOf(handles[0]!.fetchAdd(Number.MAX_SAFE_INTEGER))).toMatchObject({
      code: "COUNTER_OUT_OF_RANGE",
    });
  });

  test("of two who race for a register one wins, and both know which", async () => {
    const name = newTag();
    const [one, two] = await Promise.all([
      subject.log.register(name).writeOnce("one"),
      subject.other.register(name).writeOnce("two"),
    ]);
    expect([one.done, two.done].filter(Boolean).length).toBe(1);
    expect(one.now!.text()).toBe(two.now!.text());
    const { version } = one.now!;
    expect((await subject.other.register(name).compareAndSet({ version }, "next")).done).toBe(true);
    expect((await subject.log.register(name).compareAndSet({ version }, "late")).done).toBe(false);
    expect((await subject.log.register(name).get())!.text()).toBe("next");
    expect(await subject.log.register(name).compareAndSet("next", null)).toMatchObject({ done: true, now: undefined });
    expect(await subject.other.register(name).get()).toBeUndefined();
  });

  test("watches of counters and registers tell every change once, in order, from where they begin on", async () => {
    const name = newTag();
    const [counter, register] = [subject.log.counter(name), subject.log.register(name)];
    const { tail: begin } = await subject.log.tail();
    const [counted, held]: [unknown[], unknown[]] = [[], []];
    const live = (async () => {
      for await (const { value, position } of subject.other.counter(name).watch({ from: begin })) {
        counted.push([value, position]);
        if (value === 7) return;
      }
    })();
    for (const delta of [1, 2, 0, -3]) await counter.fetchAdd(delta);
    const { version } = await register.set("one");
    await subject.other.counter(newTag()).fetchAdd(1);
    await register.compareAndSet("two", "not written");
    await register.delete();
    await counter.take(7);
    await register.set("three");
    await live;
    expect(counted.map((change) => (change as [number, number])[0])).toEqual([1, 3, 0, 7]);
    const again: unknown[] = [];
    for await (const { value, position } of subject.other.counter(name).watch({ from: begin })) {
      again.push([value, position]);
      if (again.length === counted.length) break;
    }
    expect(again).toEqual(counted);
    for await (const { value, position, time } of subject.other.register(name).watch({ from: version + 1 })) {
      expect(time).toBeGreaterThan(0);
      held.push(value?.text());
      if (value !== undefined) {
        expect(value.version).toBe(position);
        break;
      }
    }
    expect(held).toEqual([undefined, "three"]);
  });

  test("transactions on the space, and a watch of another handle that misses nothing", async () => {
    const prefix = `${newTag()}/`;
    const [space, other] = [subject.log.space(), subject.other.space()];
    const { position } = await other.range({ prefix });
    const move = await space.transaction({
      compare: [{ keys: `${prefix}a`, exists: false }],
      success: [
        { kind: "put", key: `${prefix}a`, value: "1" },
        { kind: "put", key: `${prefix}b`, value: "2" },
      ],
    });
    expect(move.succeeded).toBe(true);
    expect(await space.delete({ prefix: `${prefix}a` })).toBe(1);
    const seen: unknown[] = [];
    for await (const { key, entry } of other.watch({ prefix }, { from: position })) {
      seen.push([key.slice(prefix.length), entry?.text()]);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([
      ["a", "1"],
      ["b", "2"],
      ["a", undefined],
    ]);
    expect(await other.get(`${prefix}b`)).toMatchObject({ version: move.position, writes: 1 });
    expect(await failureOf(subject.log.call(newTag()))).toMatchObject({ code: "PROCEDURE_UNKNOWN", outcome: "none" });
  });

  test("keys of a session go when it ends", async () => {
    const key = newTag();
    const session = await subject.log.objectSession({ ttlMs: 30_000 });
    await session.space().put(key, "here", { bound: true });
    expect((await subject.other.space().get(key))!.session).toBe(session.id);
    await session.close();
    expect(await subject.other.space().get(key)).toBeUndefined();
  });

  test("a lease passes from one handle to the other, with a larger token", async () => {
    const name = newTag();
    const first = await subject.log.lease(name, { value: "first" });
    expect(await failureOf(subject.other.lease(name, { wait: false }))).toMatchObject({ code: "LEASE_TAKEN" });
    const waiting = subject.other.lease(name, { value: "second" });
    expect((await subject.other.leaseState(name)).holder!.text()).toBe("first");
    await first.release();
    await using second = await waiting;
    expect(second.token).toBeGreaterThan(first.token);
    expect([first.held, second.held]).toEqual([false, true]);
    // What the lease protects compares tokens: the log itself can.
    await subject.log.fence(second.token);
    await subject.other.append({ value: "of the holder" }, { fencingToken: second.token });
    const late = subject.log.append({ value: "of the one before" }, { fencingToken: first.token });
    expect(await failureOf(late)).toMatchObject({ code: "FENCED", outcome: "none" });
  });

  test("a decision that two participants make, and one that runs out of time", async () => {
    const paid = subject.log.decision(newTag());
    await paid.begin({ participants: ["a", "b"], timeoutMs: 60_000 });
    await paid.vote("a", true);
    const [told] = await Promise.all([paid.outcome(), subject.other.decision(paid.name).vote("b", true)]);
    expect(told).toMatchObject({ outcome: "committed", voted: ["a", "b"] });
    const late = subject.other.decision(newTag());
    await late.begin({ participants: ["a"], timeoutMs: 300 });
    expect(await late.outcome()).toMatchObject({ outcome: "aborted" });
  });

  test("recipes between two handles", async () => {
    const name = newTag();
    const leader = await election(subject.log, name).campaign("one");
    const next = election(subject.other, name).campaign("two");
    await leader.resign();
    await (await next).resign();
    const doors = [subject.log, subject.other].map((log) => semaphore(log, name, { permits: 1 }));
    const permit = await doors[0]!.acquire();
    const waiting = doors[1]!.acquire();
    await permit.release();
    await (await waiting).release();
    const queue = workQueue(subject.log, name);
    const id = await queue.put("job");
    await using worker = await workQueue(subject.other, name).worker();
    const job = await worker.claim();
    expect([job.id, job.text()]).toEqual([id, "job"]);
    await job.acknowledge();
    await using registration = await serviceRegistry(subject.log, name).register("a", "up");
    expect([...(await serviceRegistry(subject.other, name).instances()).keys()]).toEqual([registration.id]);
  });

  test("a machine that the nodes do not have is refused by name, and other commands go on", async () => {
    const unknown = {
      name: "nobody-has-it",
      version: 1,
      create: () => 0,
      apply: () => 0,
      save: () => [],
      load: () => 0,
    };
    await using machine = subject.log.machine(unknown, { on: "nodes" });
    const refused = failureOf(machine.execute({}));
    const counted = subject.log.counter(newTag()).fetchAdd();
    expect(await refused).toMatchObject({ code: "MACHINE_UNKNOWN", outcome: "none" });
    expect(await counted).toBe(0);
    expect(await failureOf(machine.ask({} as never))).toMatchObject({ code: "MACHINE_UNKNOWN" });
  });
});
