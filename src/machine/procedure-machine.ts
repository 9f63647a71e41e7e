import { KeySpace } from "./builtin/key-space.ts";
import { callProcedure, intervalOf, keyOf, storedJson, textOf } from "./builtin/procedure-call.ts";
import type { SpaceRefusalCode } from "./builtin/space-values.ts";
import { allOrNothing } from "./builtin/space-work.ts";
import { jsonCodec } from "./json-codec.ts";
import { type Codec, defineMachine, type Machine } from "./machine.ts";
import type { KeyedValue, ProcedureKeys, Procedures, ProcedureTable } from "./procedures.ts";

/** A call of one of the procedures, with the arguments that it takes. */
export type ProcedureCommand<Table extends ProcedureTable> = {
  [Name in keyof Table & string]: { readonly procedure: Name; readonly args: Parameters<Table[Name]>[1] };
}[keyof Table & string];

export type ProcedureReply =
  /** What the procedure returned; null where that was nothing. */
  | { readonly kind: "returned"; readonly result: unknown }
  /** Nothing of the call was done. */
  | { readonly kind: "refused"; readonly code: SpaceRefusalCode; readonly message: string };

/** One key, or the keys of a range in order. */
export type ProcedureQuestion = { readonly key: string } | ProcedureKeys;

export interface ProcedureMachineOptions<Table extends ProcedureTable> {
  /** As of a machine. */
  readonly name: string;
  /** Of what the procedures do; from 1. */
  readonly version: number;
  readonly procedures: Procedures<Table>;
}

/**
 * Procedures as a machine of the program, over keys of its own: `log.machine(procedureMachine({ ... }))`. The same procedures run on
 * nodes, over the space that all share, where the nodes are given them.
 */
export function procedureMachine<Table extends ProcedureTable>({
  name,
  version,
  procedures,
}: ProcedureMachineOptions<Table>): Machine<
  KeySpace,
  ProcedureCommand<Table>,
  ProcedureReply,
  ProcedureQuestion,
  readonly KeyedValue<unknown>[]
> {
  return defineMachine({
    name,
    version,
    create: () => new KeySpace(),
    apply: (space: KeySpace, { procedure, args }: ProcedureCommand<Table>, at): ProcedureReply =>
      allOrNothing(space, at, (work) => {
        const result = callProcedure(work, procedures, procedure, jsonCodec.encode(args ?? null), at);
        return { kind: "returned" as const, result: jsonCodec.decode(result) };
      }),
    ask: (space: KeySpace, question: ProcedureQuestion) => {
      const keys = "key" in question ? [keyOf(question.key)] : [...space.keys(intervalOf(question))];
      return keys.flatMap((key) => {
        const stored = space.get(key);
        return stored === undefined ? [] : [{ key: textOf(key), value: storedJson(textOf(key), stored.value) }];
      });
    },
    ended: (space: KeySpace, at) => space.endSession(at),
    save: (space: KeySpace) => space.save(),
    freeze: (space: KeySpace) => space.freeze(),
    load: (pieces) => KeySpace.load(pieces),
    commands: callCodec as Codec<ProcedureCommand<Table>>,
  });
}

/** A call as JSON: an object with the procedure's name, and whatever arguments. */
const callCodec: Codec<{ readonly procedure: string; readonly args: unknown }> = {
  encode: ({ procedure, args }) => jsonCodec.encode({ procedure, args: args ?? null }),
  decode: (bytes) => {
    const call = jsonCodec.decode(bytes) as { readonly procedure?: unknown; readonly args?: unknown } | null;
    if (typeof call?.procedure !== "string") throw new TypeError("it names no procedure");
    return { procedure: call.procedure, args: call.args ?? null };
  },
};
