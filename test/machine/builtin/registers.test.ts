// Goal: a register changes where it is as expected and nowhere else, and says what was there. Method: a plain model.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import {
  type RegisterCommand,
  type RegisterReply,
  type RegisterState,
  registers,
} from "../../../src/machine/builtin/registers.ts";

const name = fc.constantFrom("a", "b");
const value = fc.constantFrom("", "x", "yy").map((text) => Uint8Array.from(Buffer.from(text)));
const expected = fc.oneof(
  fc.record({ kind: fc.constant("version" as const), version: fc.nat({ max: 12 }) }),
  fc.record({ kind: fc.constant("value" as const), value }),
);
const command: fc.Arbitrary<RegisterCommand> = fc.oneof(
  fc.record({ kind: fc.constantFrom("set" as const, "writeOnce" as const), name, value }),
  fc.record({
    kind: fc.constant("compareAndSet" as const),
    name,
    expected,
    next: fc.option(value, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant("delete" as const), name }),
);

const plain = ({ version, value: bytes }: RegisterState) => ({ version, text: Buffer.from(bytes).toString() });
const absent = { version: 0, text: "" };
const contextAt = (position: number) => ({ position, time: 0, session: 0, random: () => 0 });

/** What a register does, said plainly: undefined is a register that does not exist. */
function takesEffect(now: typeof absent | undefined, each: RegisterCommand): boolean {
  if (each.kind === "set") return true;
  if (each.kind !== "compareAndSet") return (now === undefined) === (each.kind === "writeOnce");
  if (each.expected.kind === "version") return (now?.version ?? 0) === each.expected.version;
  return now !== undefined && now.text === Buffer.from(each.expected.value).toString();
}

describe("registers", () => {
  test("agree with a plain map", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 12 }), (commands) => {
        const state = registers.create();
        const model = new Map<string, typeof absent>();
        commands.forEach((each, index) => {
          const position = index + 1;
          const before = model.get(each.name);
          const done = takesEffect(before, each);
          const next = each.kind === "delete" ? undefined : each.kind === "compareAndSet" ? each.next : each.value;
          if (done && next === undefined) model.delete(each.name);
          else if (done) model.set(each.name, { version: position, text: Buffer.from(next!).toString() });
          const reply = registers.apply(state, each, contextAt(position));
          const now = model.get(each.name) ?? absent;
          expect({ ...reply, before: plain(reply.before) }).toEqual({
            done,
            version: now.version,
            before: before ?? absent,
            refusal: undefined,
          });
          expect(plain(registers.ask!(state, { name: each.name }))).toEqual(now);
        });
      }),
    );
  });

  test("are bounded in bytes, and what is deleted makes room", () => {
    const state = registers.create();
    const large = new Uint8Array(limits.objectValueBytesMax);
    let position = 0;
    const next = () => contextAt(++position);
    const set = (each: string, bytes: Uint8Array): RegisterReply =>
      registers.apply(state, { kind: "set", name: each, value: bytes }, next());
    state.bytes = limits.registersBytesMax - large.length - 3;
    expect(set("abc", large)).toMatchObject({ done: true, refusal: undefined });
    expect(set("d", new Uint8Array(1))).toMatchObject({ done: false, version: 0, refusal: "FULL" });
    expect(registers.apply(state, { kind: "delete", name: "abc" }, next())).toMatchObject({
      done: true,
      version: 0,
    });
    expect(set("d", new Uint8Array(1))).toMatchObject({ done: true });
  });
});
