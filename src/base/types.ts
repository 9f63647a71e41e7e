import { assertSafe } from "./assert.ts";

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Number of a consensus instance, from 1. Every entry fills one slot. */
export type Slot = Brand<number, "Slot">;
/** Number of a record, from 1, dense. */
export type Position = Brand<number, "Position">;
/** Number of a member, 1..N in the order of the names at genesis; never used again. */
export type NodeId = Brand<number, "NodeId">;
/** XXH3-128 as 32 hexadecimal digits. */
export type Hash = Brand<string, "Hash">;
/** Order number of something handed to storage. What is submitted later has a larger ticket and is durable later. */
export type Ticket = Brand<number, "Ticket">;
/** 128 random bits as 32 hexadecimal digits: of a cluster, or of one formatted directory (nodeUid). */
export type Uid = Brand<string, "Uid">;

export const slot = (value: number): Slot => assertSafe(value, "slot") as Slot;
export const position = (value: number): Position => assertSafe(value, "position") as Position;
export const nodeId = (value: number): NodeId => assertSafe(value, "nodeId") as NodeId;
export const ticket = (value: number): Ticket => assertSafe(value, "ticket") as Ticket;

/** `slot + count` without losing the brand. */
export const slotPlus = (base: Slot, count: number): Slot => slot(base + count);
export const positionPlus = (base: Position, count: number): Position => position(base + count);

export const minSlot = (a: Slot, b: Slot): Slot => (a < b ? a : b);
export const maxSlot = (a: Slot, b: Slot): Slot => (a > b ? a : b);

/** In the place of a nodeId where there is none: that of a nonvoter, and of the ballot before all ballots. */
export const noNode = 0 as NodeId;
/** The first slot and the first position of every log. */
export const firstSlot = 1 as Slot;
export const firstPosition = 1 as Position;
/** The only log for now. It stands in every entry and request from the first version. */
export const defaultLogId = 1;
/** The configuration that genesis makes. */
export const firstConfigId = 1;
