/** Records that nodes write about the machines that they run (proto/paxlog/v1/objects.proto). */
import type { RecordInput } from "./batch-encode.ts";
import { paxlog } from "./generated/wire.js";
import { type Decoded, decoding, malformed, safeNumber } from "./wire-value.ts";

const wire = paxlog.v1;

export const machineHashType = "$machine-hash";
export const activationType = "$activation";

/** What finds the records about one machine. */
export const machineTag = (machine: string): string => `machine:${machine}`;

/** What a machine's state was. */
export interface MachineHash {
  readonly machine: string;
  /** Only states of the same one are compared. */
  readonly version: number;
  /** Every command below it is in the state. */
  readonly position: number;
  /** 16 bytes. */
  readonly hash: Uint8Array;
}

/** From here on the machine is of this version and this code. */
export interface MachineActivation {
  readonly machine: string;
  readonly version: number;
  /** SHA-256 of the code in hexadecimal. */
  readonly code: string;
}

export const machineHashRecord = (value: MachineHash): RecordInput => ({
  type: machineHashType,
  tags: [machineTag(value.machine)],
  value: wire.MachineHash.encode(value).finish(),
});

export const activationRecord = (value: MachineActivation): RecordInput => ({
  type: activationType,
  tags: [machineTag(value.machine)],
  value: wire.MachineActivation.encode(value).finish(),
});

export function decodeMachineHash(bytes: Uint8Array): Decoded<MachineHash> {
  return decoding(() => {
    const { machine, version, position, hash } = wire.MachineHash.decode(bytes);
    if (hash?.length !== 16) return malformed("the hash has not 16 bytes");
    return { machine: machine ?? "", version: version ?? 0, position: safeNumber(position, "position"), hash };
  });
}

export function decodeActivation(bytes: Uint8Array): Decoded<MachineActivation> {
  return decoding(() => {
    const { machine, version, code } = wire.MachineActivation.decode(bytes);
    if (!/^[0-9a-f]{64}$/.test(code ?? "")) return malformed("the code's hash is no SHA-256");
    return { machine: machine ?? "", version: version ?? 0, code: code ?? "" };
  });
}
