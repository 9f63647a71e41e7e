import { defineMachine, type MachineChange } from "../../src/machine/machine.ts";

/** Seats that sessions hold for as long as they live: a small machine with `ended` and `changes`. */
export type SeatCommand = { readonly op: "take" | "leave"; readonly seat: string };

interface Seats {
  readonly holders: Map<string, number>;
  /** Oldest first; `begin` is the position from which on all are here. */
  changes: { readonly position: number; readonly time: number; readonly seat: string; readonly session: number }[];
  begin: number;
}

/** So many changes are remembered. */
export const seatChangesMax = 20;

function move(state: Seats, at: { position: number; time: number }, seat: string, session: number): void {
  if (session === 0) state.holders.delete(seat);
  else state.holders.set(seat, session);
  state.changes.push({ position: at.position, time: at.time, seat, session });
  while (state.changes.length > seatChangesMax) state.begin = state.changes.shift()!.position + 1;
}

export const seats = defineMachine<Seats, SeatCommand, number, string, number>({
  name: "seats",
  version: 1,
  create: () => ({ holders: new Map(), changes: [], begin: 1 }),
  apply: (state, { op, seat }, at) => {
    if (seat === "broken") throw new Error("no such seat");
    const holder = state.holders.get(seat) ?? 0;
    if (op === "take" && holder === 0 && at.session > 0) move(state, at, seat, at.session);
    if (op === "leave" && holder === at.session && holder > 0) move(state, at, seat, 0);
    return state.holders.get(seat) ?? 0;
  },
  ask: (state, seat) => state.holders.get(seat) ?? 0,
  ended: (state, at) => {
    for (const [seat, session] of [...state.holders]) if (session === at.session) move(state, at, seat, 0);
  },
  changes: (state, seat, from, max) => {
    if (from < state.begin) return undefined;
    const found: MachineChange[] = [];
    for (const change of state.changes) {
      if (change.position < from || change.seat !== seat) continue;
      if (found.length >= max && change.position > found.at(-1)!.position) break;
      const { position, time, session } = change;
      found.push({ position, time, change: Buffer.from(`${session}`) });
    }
    return found;
  },
  *save({ holders, changes, begin }) {
    yield Buffer.from(JSON.stringify({ holders: [...holders], changes, begin }));
  },
  load: (pieces) => {
    const { holders, changes, begin } = JSON.parse(Buffer.concat([...pieces]).toString());
    return { holders: new Map(holders), changes, begin };
  },
});
