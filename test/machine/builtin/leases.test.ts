// Goal: a lease has one holder at a time, tokens only grow, the line keeps its order, and a session that ends leaves nothing behind.
// Method: generated commands and ends of sessions against a plain list; saved and loaded on the way.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import type { LeaseTable } from "../../../src/machine/builtin/lease-table.ts";
import {
  type LeaseCommand,
  type LeaseOutcome,
  type LeaseState,
  leaseChanges,
  leases,
} from "../../../src/machine/builtin/leases.ts";

type Step = { readonly kind: "end"; readonly session: number } | { readonly kind: "restart" } | Commanded;
interface Commanded {
  readonly kind: "command";
  readonly session: number;
  readonly command: LeaseCommand;
  /** Says the token that the lease has, instead of the command's. */
  readonly knows: boolean;
}

const name = fc.constantFrom("a", "b", "c");
const value = fc.constantFrom("", "x", "yy").map((text) => Buffer.from(text));
const session = fc.nat({ max: 4 });
const command: fc.Arbitrary<LeaseCommand> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("acquire" as const), name, value, wait: fc.boolean() }) },
  fc.record({ kind: fc.constant("release" as const), name, token: fc.nat({ max: 9 }) }),
  fc.record({ kind: fc.constant("proclaim" as const), name, token: fc.nat({ max: 9 }), value }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant("command" as const), session, command, knows: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end" as const), session }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
);

interface Place {
  readonly session: number;
  text: string;
}

/** Of each name who holds it and who is in line behind: the first of a list holds. */
class Model {
  readonly lists = new Map<string, Place[]>();
  readonly tokens = new Map<string, number>();

  apply(each: LeaseCommand, own: number, position: number): LeaseOutcome {
    if (own === 0) return "noSession";
    const list = this.lists.get(each.name) ?? [];
    const place = list.findIndex((other) => other.session === own);
    const holds = place === 0 && this.tokens.get(each.name);
    if (each.kind === "acquire") {
      if (place === 0) return "held";
      if (list.length > 0 && !each.wait) return "taken";
      if (place === -1)
        this.lists.set(each.name, [...list, { session: own, text: Buffer.from(each.value).toString() }]);
      if (list.length === 0) this.tokens.set(each.name, position);
      return list.length === 0 ? "held" : "waiting";
    }
    if (each.kind === "release") {
      if (place === -1 || (each.token !== 0 && each.token !== holds)) return "notHeld";
      this.leave(each.name, own, position);
      return "released";
    }
    if (place !== 0 || each.token !== holds) return "notHeld";
    list[0]!.text = Buffer.from(each.value).toString();
    return "held";
  }

  leave(each: string, own: number, position: number): void {
    const list = this.lists.get(each) ?? [];
    if (list[0]?.session === own) this.tokens.set(each, position);
    this.lists.set(
      each,
      list.filter((other) => other.session !== own),
    );
  }

  stateOf(each: string) {
    const [holder, ...line] = this.lists.get(each) ?? [];
    const waiting = line.map((other) => other.session);
    if (holder === undefined) return { name: each, token: 0, session: 0, value: "", waiting };
    return { name: each, token: this.tokens.get(each)!, session: holder.session, value: holder.text, waiting };
  }
}

const plain = (state: LeaseState) => ({ ...state, value: Buffer.from(state.value).toString() });
const at = (position: number, own: number) => ({ position, time: 10 * position, session: own, random: () => 0 });
const restarted = (table: LeaseTable) => leases.load([...leases.save(table)], 1);

describe("leases", () => {
  test("agree with a plain list, and tokens only grow", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let table = leases.create();
        const model = new Model();
        const tokens = new Map<string, number>();
        steps.forEach((each, index) => {
          const position = index + 1;
          if (each.kind === "restart") {
            table = restarted(table);
          } else if (each.kind === "end") {
            for (const lease of ["a", "b", "c"]) model.leave(lease, each.session, position);
            leases.ended!(table, at(position, each.session));
          } else {
            const own = each.command;
            const token = each.knows ? leases.ask!(table, { name: own.name }).token : undefined;
            const given = own.kind === "acquire" || token === undefined ? own : { ...own, token };
            const reply = leases.apply(table, given, at(position, each.session));
            expect(reply.outcome).toBe(model.apply(given, each.session, position));
            expect(plain(reply.now)).toEqual(model.stateOf(own.name));
          }
          for (const lease of ["a", "b", "c"]) {
            const state = leases.ask!(table, { name: lease });
            expect(plain(state)).toEqual(model.stateOf(lease));
            if (state.token !== 0) expect(state.token).toBeGreaterThanOrEqual(tokens.get(lease) ?? 0);
            if (state.token !== 0) tokens.set(lease, state.token);
          }
        });
        const places = [...model.lists.values()].flat().length;
        expect(table.places).toBe(places);
      }),
    );
  });

  test("tell whoever watches how they change hands, in order, to the end of the holder's session", () => {
    let table = leases.create();
    const acquire = (position: number, own: number) =>
      leases.apply(table, { kind: "acquire", name: "a", value: Buffer.from(`${own}`), wait: true }, at(position, own));
    acquire(1, 7);
    acquire(2, 8);
    leases.apply(table, { kind: "acquire", name: "other", value: Buffer.of(), wait: true }, at(3, 7));
    table = restarted(table);
    leases.ended!(table, at(9, 7));
    leases.ended!(table, at(10, 7));
    const told = leaseChanges(table, { name: "a" }, 2, 10)!;
    expect(told.map(({ position, time, change }) => ({ position, time, ...plain(change) }))).toEqual([
      { position: 2, time: 20, name: "a", token: 1, session: 7, value: "7", waiting: [8] },
      { position: 9, time: 90, name: "a", token: 9, session: 8, value: "8", waiting: [] },
    ]);
    expect(leases.ask!(table, { name: "other" }).token).toBe(0);
    expect(leaseChanges(table, { name: "other" }, 4, 10)!.map(({ change }) => change.token)).toEqual([0]);
  });

  test("are bounded in line, places and bytes", () => {
    const table = leases.create();
    let position = 0;
    const outcomeOf = (own: number, lease: string, bytes = 0) =>
      leases.apply(table, { kind: "acquire", name: lease, value: Buffer.alloc(bytes), wait: true }, at(++position, own))
        .outcome;
    for (let own = 1; own <= limits.leaseLineMax + 1; own += 1) expect(outcomeOf(own, "a")).not.toBe("tooMany");
    expect(outcomeOf(limits.leaseLineMax + 2, "a")).toBe("tooMany");
    expect(leases.ask!(table, { name: "a" }).waiting).toHaveLength(limits.leaseLineToldMax);
    const values = limits.leasesBytesMax / limits.objectValueBytesMax - 1;
    for (let count = 0; count < values; count += 1) outcomeOf(1, `${count}`, limits.objectValueBytesMax);
    expect(outcomeOf(1, "one more", limits.objectValueBytesMax)).toBe("tooMany");
    leases.ended!(table, at(++position, 1));
    expect(table.bytes).toBe(limits.leaseLineMax);
    expect(table.places).toBe(limits.leaseLineMax);
  });
});
