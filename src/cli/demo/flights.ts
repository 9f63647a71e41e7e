import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { PaxlogError } from "../../base/errors.ts";
import type { RecordInput } from "../../format/batch-encode.ts";

interface Flight {
  readonly origin?: string;
  readonly destination?: string;
}

/**
 * The records of the demonstration: 200,000 flights, then 20,000 with their airports as tags. Many flights are equal in all they
 * say, so the metadata of each record holds its number, by which it is told from the others when it is read back.
 */
export function flightRecords(): RecordInput[] {
  const flights = readData("flights-200k.json").map((flight, index) => record("flight", flight, index));
  const tagged = readData("flights-20k.json").map((flight, index) => ({
    ...record("flight-with-airports", flight, flights.length + index),
    tags: [`origin:${flight.origin}`, `destination:${flight.destination}`],
  }));
  return [...flights, ...tagged];
}

function record(type: string, flight: Flight, index: number): RecordInput {
  return { type, value: Buffer.from(JSON.stringify(flight)), metadata: Buffer.from(String(index)) };
}

/** The number that stands in a record's metadata; NaN where there is none. */
export function numberOf(metadata: Uint8Array | undefined): number {
  return metadata === undefined ? Number.NaN : Number(Buffer.from(metadata).toString("latin1"));
}

function readData(name: string): Flight[] {
  let file: string;
  try {
    // The package exports its program only; its data lies beside that.
    file = join(dirname(createRequire(import.meta.url).resolve("vega-datasets")), "..", "data", name);
  } catch (cause) {
    throw missing(cause);
  }
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Flight[];
  } catch (cause) {
    throw missing(cause);
  }
}

function missing(cause: unknown): PaxlogError {
  return new PaxlogError(
    "INVALID_ARGUMENT",
    "the demonstration needs the data of the npm package vega-datasets; install it with: npm install --no-save vega-datasets",
    { cause },
  );
}
