import { assertNever } from "../../base/assert.ts";
import { PaxlogError } from "../../base/errors.ts";
import { limits } from "../../base/limits.ts";
import { type ByteString, byteStringOf, bytesOf, emptyByteString } from "../byte-string.ts";
import type { RecordedChange } from "../change-log.ts";
import { type ApplyContext, defineMachine } from "../machine.ts";
import { piecesOf } from "./frozen-state.ts";
import { type HeldLease, LeaseTable, type LeaseView, placeBytes, viewOfLease } from "./lease-table.ts";

/** Names that one session at a time holds. Who holds one is named by the session in which a command comes. */
export type LeaseCommand =
  /** Takes it, or stands in line for it where `wait` says so. A session that holds it, or is in line, stays as it is, with its value. */
  | { readonly kind: "acquire"; readonly name: string; readonly value: Uint8Array; readonly wait: boolean }
  /** Gives it back, if this is its token; 0: whatever the session has of it, a place in line too. The next in line has it then. */
  | { readonly kind: "release"; readonly name: string; readonly token: number }
  /** Changes the value that others see. */
  | { readonly kind: "proclaim"; readonly name: string; readonly token: number; readonly value: Uint8Array };

export type LeaseOutcome =
  /** The session holds it, by this command or by an earlier one. */
  | "held"
  | "waiting"
  /** Another session holds it. */
  | "taken"
  | "released"
  /** Of a release or proclaim: the session does not hold it under this token. */
  | "notHeld"
  /** The command did not come in a session. */
  | "noSession"
  /** There are too many leases, or too many in line, or their values are too large. */
  | "tooMany";

export interface LeaseReply {
  readonly outcome: LeaseOutcome;
  /** As it is after the command. */
  readonly now: LeaseState;
}

export interface LeaseState {
  readonly name: string;
  /** Position of the record that granted it: larger than that of every grant of this name before. 0: nobody holds it. */
  readonly token: number;
  readonly session: number;
  readonly value: Uint8Array;
  /** Sessions in line, the next one first; not all of a long line. */
  readonly waiting: readonly number[];
}

export interface LeaseQuestion {
  readonly name: string;
}

export const leases = defineMachine<LeaseTable, LeaseCommand, LeaseReply, LeaseQuestion, LeaseState>({
  name: "leases",
  version: 1,
  create: () => new LeaseTable(),
  apply: (table, command, at) => {
    const outcome = at.session === 0 ? "noSession" : outcomeOf(table, command, at);
    return { outcome, now: stateOf(table, command.name) };
  },
  ask: (table, { name }) => stateOf(table, name),
  /** The same order on every replica: a saved state does not keep the order in which a session took its places. */
  ended: (table, at) => {
    for (const name of table.namesOf(at.session)) leave(table, table.get(name)!, at);
  },
  save: (table) => piecesOf(table.freeze()),
  freeze: (table) => table.freeze(),
  load: (pieces, version) => {
    if (version !== 1) throw new PaxlogError("FORMAT_UNKNOWN", `leases of version ${version} cannot be read`);
    return LeaseTable.load(pieces);
  },
});

/** How a lease changed: holder, value or line. */
export function leaseChanges(
  table: Readonly<LeaseTable>,
  { name }: LeaseQuestion,
  from: number,
  max: number,
): readonly RecordedChange<LeaseState>[] | undefined {
  const found = table.changes.since(from, max, (view) => view.name === name);
  return found?.map((recorded) => ({ ...recorded, change: stateOfView(recorded.change) }));
}

function outcomeOf(table: LeaseTable, command: LeaseCommand, at: ApplyContext): LeaseOutcome {
  const lease = table.get(command.name);
  switch (command.kind) {
    case "acquire":
      return acquire(table, lease, command, at);
    case "release": {
      const isHolder = lease?.session === at.session;
      const isMeant = isHolder
        ? command.token === 0 || command.token === lease.token
        : command.token === 0 && lease?.line.has(at.session);
      if (lease === undefined || isMeant !== true) return "notHeld";
      leave(table, lease, at);
      return "released";
    }
    case "proclaim": {
      if (lease?.session !== at.session || lease.token !== command.token) return "notHeld";
      const value = byteStringOf(command.value);
      if (table.bytes + value.length - lease.value.length > limits.leasesBytesMax) return "tooMany";
      table.note(table.setValue(lease, value), at);
      return "held";
    }
    default:
      return assertNever(command);
  }
}

function acquire(
  table: LeaseTable,
  lease: HeldLease | undefined,
  command: Extract<LeaseCommand, { kind: "acquire" }>,
  at: ApplyContext,
): LeaseOutcome {
  if (lease?.session === at.session) return "held";
  const isInLine = lease?.line.has(at.session) === true;
  if (lease !== undefined && !command.wait) return "taken";
  if (isInLine) return "waiting";
  const value = byteStringOf(command.value);
  if (table.places >= limits.leasePlacesMax) return "tooMany";
  if (lease !== undefined && lease.line.size >= limits.leaseLineMax) return "tooMany";
  if (table.bytes + placeBytes(command.name, value) > limits.leasesBytesMax) return "tooMany";
  if (lease === undefined) {
    table.note(table.grant(command.name, { token: at.position, session: at.session, value }), at);
    return "held";
  }
  table.note(table.wait(lease, at.session, value), at);
  return "waiting";
}

/** The session gives up what it has of a lease; the first in line has it next. */
function leave(table: LeaseTable, lease: HeldLease, at: ApplyContext): void {
  const left = lease.session === at.session ? table.passOn(lease, at.position) : table.leaveLine(lease, at.session);
  table.note(left ?? { ...lease, token: 0, session: 0, value: emptyByteString }, at);
}

function stateOf(table: Readonly<LeaseTable>, name: string): LeaseState {
  const lease = table.get(name);
  if (lease !== undefined) return stateOfView(viewOfLease(lease));
  return { name, token: 0, session: 0, value: bytesOf(emptyByteString), waiting: [] };
}

const stateOfView = ({ value, ...view }: LeaseView): LeaseState => ({ ...view, value: bytesOf(value as ByteString) });
