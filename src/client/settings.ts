import type { Compressor } from "../base/compression.ts";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { compressorOf } from "./compression.ts";
import type { ConnectOptions } from "./log.ts";

/** The options of `connect` with nothing left open. */
export interface Settings {
  readonly deadlineMs: number;
  readonly answerMs: number;
  readonly inFlightBytes: number;
  readonly inFlightBatches: number;
  readonly waitingAppends: number;
  readonly closeMs: number;
  /** undefined: batches are sent as they are. */
  readonly compressor: Compressor | undefined;
}

/** Timers of Node cannot wait longer than this. */
export const timerMsMax = 2 ** 31 - 1;

/** Throws INVALID_ARGUMENT that names every option that is out of its range. */
export function settingsOf(options: ConnectOptions): Settings {
  const faults: string[] = [];
  const whole = (name: Exclude<keyof Settings, "compressor">, byDefault: number, max: number): number => {
    const value = options[name] ?? byDefault;
    if (!Number.isInteger(value) || value < 1 || value > max)
      faults.push(`${name} must be a whole number from 1 to ${max}`);
    return value;
  };
  const settings: Settings = {
    deadlineMs: whole("deadlineMs", limits.clientDeadlineMs, timerMsMax),
    answerMs: whole("answerMs", limits.clientAnswerMs, timerMsMax),
    inFlightBytes: whole("inFlightBytes", limits.clientInFlightBytes, 1024 * limits.clientInFlightBytes),
    inFlightBatches: whole("inFlightBatches", limits.clientInFlightBatches, 1024 * limits.clientInFlightBatches),
    waitingAppends: whole("waitingAppends", limits.clientWaitingAppends, 1024 * limits.clientWaitingAppends),
    closeMs: whole("closeMs", limits.closeMs, timerMsMax),
    compressor: compressorOf(options.compression ?? "none"),
  };
  if (faults.length > 0) throw new PaxlogError("INVALID_ARGUMENT", faults.join("; "));
  return settings;
}
