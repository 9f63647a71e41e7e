import { assertNever } from "../../base/assert.ts";
import { PaxlogError } from "../../base/errors.ts";
import { limits } from "../../base/limits.ts";
import { type ByteString, byteStringOf, bytesOf } from "../byte-string.ts";
import { type ChangeForm, ChangeLog, type RecordedChange } from "../change-log.ts";
import { defineMachine, type FrozenState } from "../machine.ts";
import { StateReader, type StateWriter } from "../state-bytes.ts";
import { freezeNamed, piecesOf } from "./frozen-state.ts";
import { OrderedMap } from "./ordered-map.ts";

/** Registers by name, one value each. */
export type RegisterCommand =
  | { readonly kind: "set"; readonly name: string; readonly value: Uint8Array }
  /** Writes `next`, or deletes where that is undefined, if the register is as expected. */
  | {
      readonly kind: "compareAndSet";
      readonly name: string;
      readonly expected: RegisterExpectation;
      readonly next: Uint8Array | undefined;
    }
  /** Writes only where there is no value: of all who try one succeeds, and the others learn what it wrote. */
  | { readonly kind: "writeOnce"; readonly name: string; readonly value: Uint8Array }
  | { readonly kind: "delete"; readonly name: string };

export type RegisterExpectation =
  /** Position of the record that wrote it last; 0: it must not exist. */
  | { readonly kind: "version"; readonly version: number }
  /** A register that does not exist has no value, not even the empty one. */
  | { readonly kind: "value"; readonly value: Uint8Array };

export interface RegisterState {
  /** Position of the record that wrote it last; 0: it does not exist. */
  readonly version: number;
  /** Empty where it does not exist. */
  readonly value: Uint8Array;
}

export interface RegisterReply {
  /** Whether it took effect: of a comparison whether it held, of a delete whether there was something. Otherwise all is as before. */
  readonly done: boolean;
  /** After the command; 0 where the register does not exist. */
  readonly version: number;
  readonly before: RegisterState;
  /** Why it did not take effect, if not for what the register holds. */
  readonly refusal: RegisterRefusal | undefined;
}

export type RegisterRefusal = "TOO_MANY_NAMES" | "FULL";

export interface RegisterQuestion {
  readonly name: string;
}

export interface Register {
  readonly version: number;
  readonly value: ByteString;
}

export interface RegisterChange {
  readonly name: string;
  /** undefined: it was deleted. */
  readonly register: Register | undefined;
}

export interface Registers {
  readonly byName: OrderedMap<Register, string>;
  /** Of all names and values. */
  bytes: number;
  changes: ChangeLog<RegisterChange>;
}

export const registers = defineMachine<Registers, RegisterCommand, RegisterReply, RegisterQuestion, RegisterState>({
  name: "registers",
  version: 1,
  create: none,
  apply: (state, command, { position, time }) => {
    const register = state.byName.get(command.name);
    const before = stateOf(register);
    if (!isExpected(register, command)) return { done: false, version: before.version, before, refusal: undefined };
    const next = nextOf(command);
    const refusal = next === undefined ? undefined : refusalOf(state, command.name, register, next);
    if (refusal !== undefined) return { done: false, version: before.version, before, refusal };
    const written = next === undefined ? undefined : { version: position, value: byteStringOf(next) };
    if (write(state, command.name, written))
      state.changes.add(position, time, { name: command.name, register: written });
    return { done: true, version: next === undefined ? 0 : position, before, refusal: undefined };
  },
  ask: (state, { name }) => stateOf(state.byName.get(name)),
  save: (state) => piecesOf(freeze(state)),
  freeze,
  load: (pieces, version) => {
    if (version !== 1) throw new PaxlogError("FORMAT_UNKNOWN", `registers of version ${version} cannot be read`);
    const reader = new StateReader(pieces);
    const state = none();
    for (let left = reader.number(); left > 0; left -= 1) {
      write(state, reader.text(), { version: reader.number(), value: reader.byteString() });
    }
    state.changes = ChangeLog.load(reader, changeBounds, changeForm);
    reader.end();
    return state;
  },
});

function none(): Registers {
  return { byName: new OrderedMap(), bytes: 0, changes: new ChangeLog(changeBounds, changeForm) };
}

/** What a register held after each change. */
export function registerChanges(
  { changes }: Readonly<Registers>,
  { name }: RegisterQuestion,
  from: number,
  max: number,
): readonly RecordedChange<RegisterState>[] | undefined {
  const found = changes.since(from, max, (change) => change.name === name);
  return found?.map(({ change, ...at }) => ({ ...at, change: stateOf(change.register) }));
}

function freeze({ byName, changes }: Readonly<Registers>): FrozenState {
  return freezeNamed(byName, changes, (writer, name, register) => {
    writer.text(name);
    writeRegister(writer, register);
  });
}

function stateOf(register: Register | undefined): RegisterState {
  return register === undefined ? absent : { version: register.version, value: bytesOf(register.value) };
}

const absent: RegisterState = { version: 0, value: new Uint8Array(0) };

function isExpected(register: Register | undefined, command: RegisterCommand): boolean {
  switch (command.kind) {
    case "set":
      return true;
    case "writeOnce":
      return register === undefined;
    case "delete":
      return register !== undefined;
    case "compareAndSet": {
      const { expected } = command;
      if (expected.kind === "version") return (register?.version ?? 0) === expected.version;
      return register?.value === byteStringOf(expected.value);
    }
    default:
      return assertNever(command);
  }
}

function nextOf(command: RegisterCommand): Uint8Array | undefined {
  if (command.kind === "delete") return undefined;
  return command.kind === "compareAndSet" ? command.next : command.value;
}

function refusalOf(
  state: Registers,
  name: string,
  register: Register | undefined,
  next: Uint8Array,
): RegisterRefusal | undefined {
  if (register === undefined && state.byName.size >= limits.registersMax) return "TOO_MANY_NAMES";
  const grown = sizeOf(name, next.length) - (register === undefined ? 0 : sizeOf(name, register.value.length));
  return state.bytes + grown > limits.registersBytesMax ? "FULL" : undefined;
}

/** @returns whether anything is different. */
function write(state: Registers, name: string, register: Register | undefined): boolean {
  const before = state.byName.get(name);
  if (before !== undefined) state.bytes -= sizeOf(name, before.value.length);
  if (register === undefined) {
    state.byName.delete(name);
    return before !== undefined;
  }
  state.bytes += sizeOf(name, register.value.length);
  state.byName.set(name, register);
  return true;
}

/** Code units of the name: nobody is told this number, it only has to be the same everywhere. */
const sizeOf = (name: string, valueBytes: number): number => name.length + valueBytes;

function writeRegister(writer: StateWriter, { version, value }: Register): void {
  writer.number(version);
  writer.byteString(value);
}

const changeForm: ChangeForm<RegisterChange> = {
  write: (writer, { name, register }) => {
    writer.text(name);
    writer.flag(register !== undefined);
    if (register !== undefined) writeRegister(writer, register);
  },
  read: (reader) => {
    const name = reader.text();
    const register = reader.flag() ? { version: reader.number(), value: reader.byteString() } : undefined;
    return { name, register };
  },
};

const changeBounds = { count: limits.changesMax, bytes: limits.changesBytesMax };
