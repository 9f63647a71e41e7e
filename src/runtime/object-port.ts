/**
 * An ObjectBackend from another thread: the messages between ObjectServer, which stands beside the machines, and ObjectProxy, which is
 * the ObjectBackend of whoever serves clients. As with the backend port one message carries all that a turn brought, and the bytes of
 * all replies are gathered in one buffer, which is handed over.
 */
import { concat } from "../base/bytes.ts";
import type { Position } from "../base/types.ts";
import type {
  AppendedCommands,
  ChangesQuestion,
  CommandReply,
  MachineAnswer,
  MachineChanges,
  MachineQuestion,
  MachineStatus,
  SnapshotPiece,
  SnapshotWanted,
} from "../transport/object-backend.ts";
import { type ErrorData, packError, unpackError } from "./channel.ts";

/** Each but "cancel" has one answer under its id. */
export type ObjectRequest = { readonly requestId: number } & (
  | { readonly kind: "replies"; readonly commands: AppendedCommands }
  | { readonly kind: "ask"; readonly question: MachineQuestion }
  | {
      readonly kind: "askMany";
      readonly machine: string;
      readonly questions: PackedParts;
      readonly appliedTo: Position | 0;
    }
  | { readonly kind: "changes"; readonly question: ChangesQuestion }
  | { readonly kind: "list" }
  | { readonly kind: "snapshot"; readonly wanted: SnapshotWanted }
  | { readonly kind: "cancel" }
);

/** What one turn has for the machines. */
export interface ToObjects {
  readonly requests: readonly ObjectRequest[];
}

export type ObjectAnswer = { readonly requestId: number } & (
  | ({ readonly kind: "replies" } & PackedReplies)
  | { readonly kind: "answer"; readonly answer: MachineAnswer }
  | { readonly kind: "answers"; readonly answers: PackedParts; readonly position: Position }
  | { readonly kind: "changes"; readonly changes: MachineChanges }
  | { readonly kind: "list"; readonly machines: readonly PackedStatus[] }
  | { readonly kind: "snapshot"; readonly found: SnapshotPiece }
  | { readonly kind: "failed"; readonly error: ErrorData }
);

/** Replies of one batch: their bytes lie one after another in the message's buffer. */
export interface PackedReplies {
  readonly bytesBegin: number;
  /** Of each reply; -1: it is the next one of `errors`. */
  readonly lengths: Int32Array;
  readonly errors: readonly ErrorData[];
}

/** Byte strings one after another: a message of two arrays costs less than one of many. */
export interface PackedParts {
  readonly bytes: Uint8Array;
  /** Of each part; -1: it is undefined. */
  readonly lengths: Int32Array;
}

export type PackedStatus = Omit<MachineStatus, "stopped"> & { readonly stopped: ErrorData | undefined };

/** What one turn has for the proxy. */
export interface FromObjects {
  readonly answers: readonly ObjectAnswer[];
  readonly buffer: ArrayBuffer | undefined;
}

export function packParts(parts: readonly (Uint8Array | undefined)[]): PackedParts {
  const lengths = Int32Array.from(parts, (part) => part?.length ?? -1);
  return { bytes: concat(parts.filter((part) => part !== undefined)), lengths };
}

export function unpackParts({ bytes, lengths }: PackedParts): (Uint8Array | undefined)[] {
  let end = 0;
  return Array.from(lengths, (length) => {
    if (length < 0) return undefined;
    end += length;
    return bytes.subarray(end - length, end);
  });
}

/** The replies as a message has them, with their bytes put behind `bytes`. */
export function packReplies(replies: readonly CommandReply[], bytes: Uint8Array[], bytesBegin: number): PackedReplies {
  const lengths = new Int32Array(replies.length);
  const errors: ErrorData[] = [];
  replies.forEach((reply, index) => {
    if (reply.kind === "failed") {
      lengths[index] = -1;
      errors.push(packError(reply.error));
    } else {
      lengths[index] = reply.reply.length;
      bytes.push(reply.reply);
    }
  });
  return { bytesBegin, lengths, errors };
}

export function unpackReplies(packed: PackedReplies, buffer: ArrayBuffer | undefined): CommandReply[] {
  const bytes = new Uint8Array(buffer ?? new ArrayBuffer(0));
  let begin = packed.bytesBegin;
  let errors = 0;
  return Array.from(packed.lengths, (length): CommandReply => {
    if (length >= 0) {
      begin += length;
      return { kind: "reply", reply: bytes.subarray(begin - length, begin) };
    }
    errors += 1;
    return { kind: "failed", error: unpackError(packed.errors[errors - 1]!) };
  });
}
