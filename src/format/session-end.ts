/**
 * The batch that announces a session's end: one record of type "$session", whose value is a SessionEnd of
 * proto/paxlog/v1/builtins.proto. The entry's header names the session and has the serial 0, which no client's request has. Every
 * replica makes the same bytes and compares (protocol 14), so they are part of the format.
 */
import type { Payload } from "../core/entry.ts";
import type { SessionEnd } from "../core/sequencer.ts";
import { sessionEndType } from "../machine/machine.ts";
import { encodeBatch } from "./batch-encode.ts";
import { guardsOfBatch } from "./batch-guards.ts";
import { paxlog } from "./generated/wire.js";
import { asBuffer } from "./wire-value.ts";

/** The batch and the hashes that its entry carries. */
export function encodeSessionEnd(session: number, end: SessionEnd): Payload {
  const value = asBuffer(paxlog.v1.SessionEnd.encode({ session, expired: end === "expired" }).finish());
  const batch = encodeBatch([{ type: sessionEndType, value }]);
  return { batch, guards: guardsOfBatch(batch) };
}
