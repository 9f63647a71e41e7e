import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import {
  dropHoldRequestCodec,
  dropHoldResponseCodec,
  putHoldRequestCodec,
  putHoldResponseCodec,
  trimRequestCodec,
  trimResponseCodec,
} from "../format/retain-codec.ts";
import { isWellFormed } from "../format/utf8.ts";
import { logRequestOf, type ServiceContext } from "./service-context.ts";

/** LogService's calls about what the log keeps: bytes in, bytes out. */
export async function trim({ backend }: ServiceContext, bytes: Buffer): Promise<Buffer> {
  const position = positionOf(logRequestOf(trimRequestCodec.decode(bytes)));
  return trimResponseCodec.encode(await backend.retain({ kind: "trim", position }));
}

export async function putHold({ backend }: ServiceContext, bytes: Buffer): Promise<Buffer> {
  const request = logRequestOf(putHoldRequestCodec.decode(bytes));
  const { owner } = request;
  checkText("owner", owner, 0, limits.holdOwnerBytesMax);
  const ttlMs = request.ttlMs || limits.holdTtlMsDefault;
  const hold = { name: nameOf(request), owner, position: positionOf(request), ttlMs };
  return putHoldResponseCodec.encode(await backend.retain({ kind: "putHold", ...hold }));
}

export async function dropHold({ backend }: ServiceContext, bytes: Buffer): Promise<Buffer> {
  const name = nameOf(logRequestOf(dropHoldRequestCodec.decode(bytes)));
  return dropHoldResponseCodec.encode(await backend.retain({ kind: "dropHold", name }));
}

function positionOf({ position }: { readonly position: number }): Position {
  if (position >= 1) return position as Position;
  throw new PaxlogError("INVALID_ARGUMENT", "position is missing: positions count from 1");
}

function nameOf({ name }: { readonly name: string }): string {
  checkText("name", name, 1, limits.nameBytesMax);
  return name;
}

function checkText(what: string, text: string, bytesMin: number, bytesMax: number): void {
  const bytes = Buffer.byteLength(text);
  if (bytes >= bytesMin && bytes <= bytesMax && isWellFormed(text)) return;
  throw new PaxlogError("INVALID_ARGUMENT", `${what} must have ${bytesMin} to ${bytesMax} bytes, has ${bytes}`, {
    facts: { limit: bytesMax },
  });
}
